//! Where settings come from: layers of raw texts, later ones over earlier ones.

use super::{
    field::Field,
    problem::{Problem, ProblemKind},
    table,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    sync::Arc,
};

/// No value is longer: the longest real ones are paths.
const MAX_VALUE: usize = 8192;
const PREFIX: &str = "ATLAS_";
/// Read by the project's own tests, never by a program.
const TOOL_VARIABLES: &[&str] = &["ATLAS_BLESS", "ATLAS_CASES", "ATLAS_CI_CACHE", "ATLAS_SEED"];

/// A named layer of raw settings.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) origin: Arc<str>,
    pub(super) values: Vec<(OsString, OsString)>,
    pub(super) problems: Vec<Problem>,
}

/// One setting as it was given.
pub(super) struct Given {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) origin: Arc<str>,
    pub(super) overridden: Vec<Arc<str>>,
}

/// The texts given for known settings, by canonical name, and the faults found on the way.
pub(super) struct Gathered {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) faulty: BTreeSet<&'static str>,
    pub(super) problems: Vec<Problem>,
}

pub(super) fn gather(layers: &[Layer], ignored: &BTreeSet<String>) -> Gathered {
    let mut names: BTreeMap<&'static str, &'static Field> = BTreeMap::new();
    for field in table::fields() {
        names.extend(std::iter::once(&field.name).chain(field.aliases).map(|name| (*name, field)));
    }
    let mut all = Gathered { given: BTreeMap::new(), faulty: BTreeSet::new(), problems: Vec::new() };
    for layer in layers {
        all.problems.extend(layer.problems.iter().cloned());
        let mut own: BTreeMap<&'static str, Given> = BTreeMap::new();
        let mut values: Vec<&(OsString, OsString)> = layer.values.iter().collect();
        // The order of an environment is arbitrary, the order of a report must not be.
        values.sort();
        for (name, value) in values {
            let shown = name.to_string_lossy();
            if let Some((spelled, field)) = names.get_key_value(&*shown).filter(|_| name.to_str().is_some()) {
                match text(value) {
                    Ok(text) => {
                        let given = Given { name: spelled, text, origin: layer.origin.clone(), overridden: Vec::new() };
                        match own.get(field.name) {
                            Some(other) if other.text != given.text => {
                                all.faulty.insert(field.name);
                                let kind = ProblemKind::Disagreement { with: other.name };
                                all.problems.push(Problem { name: given.name.to_owned(), kind });
                            }
                            Some(_) => {}
                            None => {
                                own.insert(field.name, given);
                            }
                        }
                    }
                    Err(kind) => {
                        all.faulty.insert(field.name);
                        all.problems.push(Problem { name: (*spelled).to_owned(), kind });
                    }
                }
            } else if is_ours(&shown) && !ignored.contains(&*shown) && !TOOL_VARIABLES.contains(&&*shown) {
                let kind = ProblemKind::Unknown { suggestion: nearest(&shown, &names) };
                all.problems.push(Problem { name: plain_name(&shown), kind });
            }
        }
        for (name, mut given) in own {
            if let Some(before) = all.given.remove(name) {
                given.overridden = before.overridden;
                given.overridden.push(before.origin);
            }
            all.given.insert(name, given);
        }
    }
    all
}

fn text(value: &OsStr) -> Result<String, ProblemKind> {
    if value.len() > MAX_VALUE {
        return Err(ProblemKind::TooLong { max: MAX_VALUE });
    }
    let text = value.to_str().ok_or(ProblemKind::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(ProblemKind::ControlCharacter);
    }
    if text.is_empty() { Err(ProblemKind::Empty) } else { Ok(text.to_owned()) }
}

/// A wrongly cased prefix is a slip, too.
fn is_ours(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(PREFIX))
}

/// The nearest known name, if a slip or two lead there.
fn nearest(name: &str, names: &BTreeMap<&'static str, &'static Field>) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    // A third of the part after the prefix may differ, three letters at most.
    let limit = (upper.len().saturating_sub(PREFIX.len()) / 3).min(3);
    names
        .keys()
        .filter(|known| known.starts_with(PREFIX) && known.len().abs_diff(upper.len()) <= limit)
        .map(|known| (strsim::osa_distance(&upper, known), *known))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}

/// A name is shown only if it looks like one: what was pasted in its place could be a secret.
pub(super) fn plain_name(name: &str) -> String {
    let plain = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { name.to_owned() } else { format!("{PREFIX}…") }
}
