//! Reads rows of the table from gathered texts, collecting every fault.

use super::{
    Entry,
    field::{Field, Part},
    problem::{Problem, ProblemKind},
    source::Gathered,
    value::Setting,
};
use crate::secret::REDACTED;
use atlas_schema::Stage;
use std::collections::BTreeSet;

pub(super) struct Reader<'a> {
    pub(super) gathered: Gathered,
    pub(super) stage: Stage,
    pub(super) without: &'a BTreeSet<&'static str>,
    pub(super) entries: Vec<Entry>,
}

impl Reader<'_> {
    /// Reads the next row. A row too few would be a fault of the table; it is reported like any other.
    pub(super) fn next<T: Setting>(&mut self, fields: &mut std::slice::Iter<'static, Field>) -> T {
        fields.next().map_or_else(T::stand_in, |field| self.read(field))
    }

    pub(super) fn read<T: Setting>(&mut self, field: &'static Field) -> T {
        let given = self.gathered.given.get(field.name);
        let preset = field.preset.of(self.stage);
        let Some(text) = given.map(|given| given.text.as_str()).or(preset) else {
            let needed = field.required.is_some_and(|required| {
                required.stages.contains(&self.stage) && !self.without.contains(part_name(required.part))
            });
            if needed && !self.gathered.faulty.contains(field.name) {
                self.fault(field, field.name, ProblemKind::Missing { stage: self.stage });
            }
            return T::absent().unwrap_or_else(T::stand_in);
        };
        let parsed = T::parse(text, &field.rule);
        let shown = if field.is_secret() { REDACTED } else { text };
        let entry = Entry {
            field,
            shown: shown.to_owned(),
            origin: given.map(|given| given.origin.clone()),
            overridden: given.map(|given| given.overridden.clone()).unwrap_or_default(),
        };
        let name = given.map_or(field.name, |given| given.name);
        if let Some(value) = parsed {
            self.entries.push(entry);
            return value;
        }
        self.fault(field, name, ProblemKind::Invalid { expected: field.rule });
        T::stand_in()
    }

    fn fault(&mut self, field: &Field, name: &str, kind: ProblemKind) {
        self.gathered.faulty.insert(field.name);
        self.gathered.problems.push(Problem { name: name.to_owned(), kind });
    }

    /// Reports that `rule` does not hold, unless one of the `names` it is about is faulty already.
    pub(super) fn require(&mut self, holds: bool, names: &[&'static str], rule: &'static str) {
        if let (false, Some(first)) =
            (holds || names.iter().any(|name| self.gathered.faulty.contains(name)), names.first())
        {
            let kind = ProblemKind::Contradiction { rule };
            self.gathered.problems.push(Problem { name: (*first).to_owned(), kind });
        }
    }

    /// Whether the setting was given, by any of its names.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.gathered.given.contains_key(name)
    }
}

pub(super) const fn part_name(part: Part) -> &'static str {
    match part {
        Part::Service => "service",
        Part::Models => "models",
    }
}
