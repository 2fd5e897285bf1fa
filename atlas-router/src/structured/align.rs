//! Aligning a document with its schema: values that say the same in another form take the form that the schema wants.
//!
//! Only what loses nothing and can mean one thing is changed, and each change is noted. Whether the document then fits is not
//! judged here.

use super::repairs::{RepairKind, Repairs, Step};
use super::scan::Document;
use serde_json::{Map, Number, Value};
use std::collections::HashSet;

/// References and choices that lead on at the same value: more are a circle.
const MOST_HOPS: usize = 32;
/// So many steps for each document and then it is left as it is: choices within choices must not multiply.
const MOST_STEPS: usize = 20_000_000;

/// Aligns a value with a schema; at the schema's places in `nullable` null means that the property is absent. False if all of it is a text
/// that had only begun, and that says nothing then.
pub(super) fn align(document: &mut Document, schema: &Value, nullable: &[String]) -> bool {
    let Document { value, repairs, half, .. } = document;
    let nullable = nullable.iter().filter_map(|place| schema.pointer(place)).map(std::ptr::from_ref).collect();
    let mut aligning = Aligning { root: schema, nullable, path: Vec::new(), half: half.as_deref(), repairs, steps: 0 };
    aligning.node(value, schema, 0);
    !aligning.is_half(value) || aligning.is_free(schema, 0)
}

struct Aligning<'a> {
    root: &'a Value,
    /// Schemas by where they are in memory, since equal ones may stand elsewhere.
    nullable: HashSet<*const Value>,
    path: Vec<Step>,
    /// The place of a text that the reply ended in.
    half: Option<&'a [Step]>,
    repairs: &'a mut Repairs,
    steps: usize,
}

impl<'a> Aligning<'a> {
    fn has_steps(&mut self, more: usize) -> bool {
        self.steps = self.steps.saturating_add(more);
        self.steps <= MOST_STEPS
    }

    fn node(&mut self, value: &mut Value, schema: &'a Value, hops: usize) {
        let Value::Object(map) = schema else { return };
        if hops > MOST_HOPS || !self.has_steps(1) || self.is_half(value) {
            return;
        }
        if let Some(target) = self.target(map) {
            self.node(value, target, hops + 1);
        }
        for one in list(map, "allOf") {
            self.node(value, one, hops + 1);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(one) = self.choose(value, list(map, key), hops) {
                self.node(value, one, hops + 1);
            }
        }
        if let Some((new, kind)) = scalar(value, map) {
            *value = new;
            self.repairs.note(kind, &self.path);
        }
        match value {
            Value::Object(members) => self.object(members, map),
            Value::Array(items) => self.array(items, map),
            _ => {}
        }
    }

    /// Whether that is a text, at the path, that the reply ended in: it is not known what it would have been.
    fn is_half(&self, value: &Value) -> bool {
        value.is_string() && self.half.is_some_and(|half| half == self.path.as_slice())
    }

    /// Whether a text of any words is what a schema wants, so that the beginning of one says something.
    fn is_free(&self, schema: &'a Value, hops: usize) -> bool {
        let Some(map) = schema.as_object() else { return schema != &Value::Bool(false) };
        let has = |key: &&str| map.contains_key(*key);
        hops <= MOST_HOPS
            && names(map, "string") != Some(false)
            && !["enum", "const", "pattern", "format"].iter().any(has)
            && self.target(map).is_none_or(|target| self.is_free(target, hops + 1))
            && list(map, "allOf").iter().all(|one| self.is_free(one, hops + 1))
            && ["anyOf", "oneOf"].into_iter().all(|key| {
                let branches = list(map, key);
                branches.is_empty() || branches.iter().any(|one| self.is_free(one, hops + 1))
            })
    }

    fn target(&self, map: &Map<String, Value>) -> Option<&'a Value> {
        self.root.pointer(map.get("$ref")?.as_str()?.strip_prefix('#')?)
    }

    fn object(&mut self, members: &mut Map<String, Value>, map: &'a Map<String, Value>) {
        let properties = map.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if !self.has_steps(1) {
                return;
            }
            let was_absent = !members.contains_key(name);
            if was_absent && !self.nullable.contains(&std::ptr::from_ref(schema)) {
                continue;
            }
            self.path.push(Step::Key(name.clone()));
            let is_half = members.get(name).is_some_and(|member| self.is_half(member)) && !self.is_free(schema, 0);
            if is_half {
                members.remove(name);
            }
            if is_half && !self.nullable.contains(&std::ptr::from_ref(schema)) {
                // It is left out, as what had only begun is everywhere.
            } else if was_absent || is_half {
                members.insert(name.clone(), Value::Null);
                self.repairs.note(RepairKind::AbsentAsNull, &self.path);
            } else if let Some(member) = members.get_mut(name) {
                self.node(member, schema, 0);
            }
            self.path.pop();
        }
        let others = map.get("additionalProperties").filter(|schema| schema.is_object());
        let by_pattern = map.get("patternProperties").and_then(Value::as_object);
        if others.is_none() && by_pattern.is_none() {
            return;
        }
        members.retain(|name, member| {
            if properties.is_some_and(|known| known.contains_key(name)) {
                return true;
            }
            self.path.push(Step::Key(name.clone()));
            // Any of the patterns may be the one that its name is of.
            let mut wanted = others.into_iter().chain(by_pattern.into_iter().flat_map(Map::values));
            let is_kept = !self.is_half(member) || wanted.all(|schema| self.is_free(schema, 0));
            if let Some(schema) = others {
                self.node(member, schema, 0);
            }
            self.path.pop();
            is_kept
        });
    }

    fn array(&mut self, items: &mut Vec<Value>, map: &'a Map<String, Value>) {
        let first = list(map, "prefixItems");
        let mut ends_half = false;
        for (at, item) in items.iter_mut().enumerate() {
            let Some(schema) = first.get(at).or_else(|| map.get("items")) else { return };
            self.path.push(Step::At(at));
            ends_half = self.is_half(item) && !self.is_free(schema, 0);
            self.node(item, schema, 0);
            self.path.pop();
        }
        if ends_half {
            items.pop();
        }
    }

    /// The branch of a choice that a value is meant for, if that is plain.
    fn choose(&mut self, value: &Value, branches: &'a [Value], hops: usize) -> Option<&'a Value> {
        let steps: usize = branches.iter().filter_map(|branch| self.leaf(branch, hops + 1)).map(weight).sum();
        if branches.is_empty() || !self.has_steps(branches.len().saturating_add(steps)) {
            return None;
        }
        let fitting: Vec<&Value> = branches.iter().filter(|branch| self.fits(value, branch, hops + 1)).collect();
        match value {
            // As it is, or the first for which every named property is there.
            Value::Object(_) | Value::Array(_) => fitting.first().copied(),
            _ if !fitting.is_empty() => None,
            _ => {
                // What it would become must be the same wherever it becomes anything.
                let mut becomes = branches.iter().filter_map(|branch| {
                    let map = self.leaf(branch, hops + 1)?;
                    Some((scalar(value, map)?.0, branch))
                });
                let (first, branch) = becomes.next()?;
                becomes.all(|(other, _)| other == first).then_some(branch)
            }
        }
    }

    /// The schema behind references.
    fn leaf(&self, mut schema: &'a Value, hops: usize) -> Option<&'a Map<String, Value>> {
        for _ in hops..MOST_HOPS {
            let map = schema.as_object()?;
            match self.target(map) {
                Some(target) => schema = target,
                None => return Some(map),
            }
        }
        None
    }

    /// Whether a value is of a branch, by its type, its required properties and those of its properties that are fixed.
    fn fits(&self, value: &Value, branch: &'a Value, hops: usize) -> bool {
        let Some(map) = self.leaf(branch, hops) else { return false };
        if !has_type(map, value) || !is_listed(map, value) {
            return false;
        }
        let Value::Object(members) = value else { return true };
        let required = list(map, "required").iter().filter_map(Value::as_str);
        let has = |name: &str| members.contains_key(name) || self.may_be_absent(map, name);
        let fixed = |(name, schema): (&String, &Value)| {
            let fixed =
                schema.as_object().is_none_or(|schema| is_listed(schema, members.get(name).unwrap_or(&Value::Null)));
            fixed || !members.contains_key(name)
        };
        let properties = map.get("properties").and_then(Value::as_object);
        required.into_iter().all(has) && properties.into_iter().flatten().all(fixed)
    }

    fn may_be_absent(&self, map: &Map<String, Value>, name: &str) -> bool {
        let schema = map.get("properties").and_then(|properties| properties.get(name));
        schema.is_some_and(|schema| self.nullable.contains(&std::ptr::from_ref(schema)))
    }
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    map.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// How much there is to compare with a branch.
fn weight(map: &Map<String, Value>) -> usize {
    let properties = map.get("properties").and_then(Value::as_object);
    let fixed = properties.into_iter().flatten().filter_map(|(_, schema)| schema.as_object());
    let listed: usize = fixed.map(|schema| list(schema, "enum").len()).sum();
    properties.map_or(0, Map::len) + listed + list(map, "required").len() + list(map, "enum").len()
}

/// Whether a schema names that type; `None` if it names none.
fn names(map: &Map<String, Value>, name: &str) -> Option<bool> {
    match map.get("type")? {
        Value::String(one) => Some(one == name),
        Value::Array(all) => Some(all.iter().any(|one| one == name)),
        _ => None,
    }
}

fn has_type(map: &Map<String, Value>, value: &Value) -> bool {
    let of: &[&str] = match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if is_whole(number) => &["integer", "number"],
        Value::Number(_) => &["number"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    };
    of.iter().any(|name| names(map, name) != Some(false))
}

/// Whether a value is one of those that a schema lists, or it lists none. Only simple values are compared.
fn is_listed(map: &Map<String, Value>, value: &Value) -> bool {
    let is_const = map.get("const").is_none_or(|only| only == value);
    is_const && map.get("enum").and_then(Value::as_array).is_none_or(|all| all.contains(value))
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// What a simple value becomes for a schema, if it does not fit and can be taken for what does.
fn scalar(value: &Value, map: &Map<String, Value>) -> Option<(Value, RepairKind)> {
    let wants = |name: &str| names(map, name) == Some(true);
    match value {
        Value::String(text) if names(map, "string") == Some(false) => {
            let text = text.trim();
            if wants("null") && matches!(text, "null" | "None") {
                Some((Value::Null, RepairKind::TextAsNull))
            } else if wants("boolean") && ["true", "false"].iter().any(|known| text.eq_ignore_ascii_case(known)) {
                Some((Value::Bool(text.eq_ignore_ascii_case("true")), RepairKind::TextAsBoolean))
            } else if wants("number") || wants("integer") {
                let number = spelled(text).filter(|number| wants("number") || is_whole(number))?;
                Some((Value::Number(number), RepairKind::TextAsNumber))
            } else {
                None
            }
        }
        // Of other numbers it is not known how they were written.
        Value::Number(number)
            if wants("string") && !wants("number") && !wants("integer") && (number.is_i64() || number.is_u64()) =>
        {
            Some((Value::String(number.to_string()), RepairKind::NumberAsText))
        }
        Value::String(text) if !is_listed(map, value) => {
            let folded = text.trim().to_lowercase();
            let known = list(map, "enum").iter().chain(map.get("const")).filter_map(Value::as_str);
            let mut alike = known.filter(|known| known.to_lowercase() == folded);
            let only = alike.next()?;
            alike.all(|other| other == only).then(|| (Value::String(only.to_owned()), RepairKind::EnumCase))
        }
        _ => None,
    }
}

/// The number that a text is, if it is written as JSON writes one and a double or 64 bits hold all its digits.
fn spelled(text: &str) -> Option<Number> {
    /// Every decimal of so many digits survives in a double.
    const MOST_DIGITS: usize = 15;
    let number: Number = text.parse().ok()?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    // Too small for a double: what is left of it is not what was written.
    let is_tiny = number.as_f64().is_some_and(|float| float == 0.0 || float.is_subnormal());
    if is_tiny && mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        return None;
    }
    let digits = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    (number.is_i64() || number.is_u64() || digits <= MOST_DIGITS).then_some(number)
}
