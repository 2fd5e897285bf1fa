//! Whether records that satisfy a schema can exist and be checked in bounded time.

use super::check::{MAX_DEPTH, resolve, types_of};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// Looking for a finite record stops after this many steps: real schemas need a few per sub-schema.
const MAX_STEPS: usize = 100_000;
/// How often schemas may be applied to one and the same value: real schemas stay below a hundred.
const MAX_APPLIED: u64 = 10_000;

/// What keeps a schema from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Regress {
    /// Every value that fits would have to contain another that fits, without end.
    Endless,
    /// A reference leads back to its own place without going into a member: checking a value would never end.
    Loops,
    /// References multiply: checking one value would apply schemas to it too often.
    Multiplies,
}

/// Judges a schema whose size is bounded and whose references all lead somewhere.
pub(super) fn regress(schema: &Value) -> Option<Regress> {
    let mut applied = Applied { root: schema, known: HashMap::new(), loops: false };
    let mut most = 0;
    each_object(schema, 0, &mut |place| most = most.max(applied.count(place, 0)));
    if applied.loops {
        return Some(Regress::Loops);
    }
    if most > MAX_APPLIED {
        return Some(Regress::Multiplies);
    }
    let mut search = Search { root: schema, open: HashSet::new(), finite: HashSet::new(), steps: 0 };
    let endless = search.endless(schema, 0);
    if search.steps > MAX_STEPS {
        return Some(Regress::Multiplies);
    }
    endless.then_some(Regress::Endless)
}

/// Calls `each` with every object of the document; those that are no schemas do no harm.
fn each_object<'a>(value: &'a Value, depth: usize, each: &mut impl FnMut(&'a Value)) {
    if depth > MAX_DEPTH * 4 {
        return;
    }
    match value {
        Value::Object(object) => {
            each(value);
            object.values().for_each(|inner| each_object(inner, depth + 1, each));
        }
        Value::Array(entries) => entries.iter().for_each(|inner| each_object(inner, depth + 1, each)),
        _ => {}
    }
}

fn referenced<'a>(root: &'a Value, object: &Map<String, Value>) -> Option<&'a Value> {
    object.get("$ref").and_then(Value::as_str).and_then(|target| resolve(root, target))
}

/// Counts how many schemas are applied to one value.
struct Applied<'a> {
    root: &'a Value,
    /// By address; `None` while a place is being counted.
    known: HashMap<*const Value, Option<u64>>,
    loops: bool,
}

impl<'a> Applied<'a> {
    /// How many schemas are applied to a value when `schema` is, itself included.
    fn count(&mut self, schema: &'a Value, depth: usize) -> u64 {
        let Value::Object(object) = schema else { return 1 };
        let place = std::ptr::from_ref(schema);
        match self.known.get(&place) {
            Some(Some(count)) => return *count,
            Some(None) => {
                self.loops = true;
                return 1;
            }
            None => {}
        }
        // Longer chains of references are refused with those that multiply, before the stack could run out.
        if depth > MAX_DEPTH * 4 {
            return u64::MAX;
        }
        self.known.insert(place, None);
        let lists = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| object.get(key)?.as_array()).flatten();
        let single = ["if", "then", "else", "not"].into_iter().filter_map(|key| object.get(key));
        let named = object.get("dependentSchemas").and_then(Value::as_object).into_iter().flat_map(Map::values);
        let inner = lists.chain(single).chain(named).chain(referenced(self.root, object));
        let count = inner.fold(1_u64, |sum, inner| sum.saturating_add(self.count(inner, depth + 1)));
        self.known.insert(place, Some(count));
        count
    }
}

struct Search<'a> {
    root: &'a Value,
    /// The places being judged, by address.
    open: HashSet<*const Value>,
    /// Places that some finite value fits, whatever else is open.
    finite: HashSet<*const Value>,
    steps: usize,
}

impl<'a> Search<'a> {
    fn endless(&mut self, schema: &'a Value, depth: usize) -> bool {
        let Value::Object(object) = schema else { return false };
        let place = std::ptr::from_ref(schema);
        self.steps += 1;
        if depth > MAX_DEPTH * 4 || self.steps > MAX_STEPS || self.finite.contains(&place) {
            return false;
        }
        if !self.open.insert(place) {
            return true;
        }
        let endless = self.regresses(object, depth + 1);
        self.open.remove(&place);
        if !endless {
            self.finite.insert(place);
        }
        endless
    }

    fn regresses(&mut self, object: &'a Map<String, Value>, depth: usize) -> bool {
        // A value that need not be an object or an array ends the regress.
        if types_of(object).is_some_and(|types| types.iter().any(|name| !matches!(name.as_str(), "object" | "array"))) {
            return false;
        }
        let list = |key: &str| object.get(key).and_then(Value::as_array);
        let properties = object.get("properties").and_then(Value::as_object);
        let required = list("required").into_iter().flatten();
        let members = required.filter_map(|name| properties?.get(name.as_str()?));
        let filled = object.get("minItems").and_then(Value::as_u64).is_some_and(|least| least > 0);
        let items = object.get("items").filter(|_| filled);
        let parts = list("allOf").into_iter().flatten();
        if referenced(self.root, object)
            .into_iter()
            .chain(parts)
            .chain(members)
            .chain(items)
            .any(|inner| self.endless(inner, depth))
        {
            return true;
        }
        ["anyOf", "oneOf"]
            .into_iter()
            .filter_map(list)
            .any(|options| !options.is_empty() && options.iter().all(|option| self.endless(option, depth)))
    }
}
