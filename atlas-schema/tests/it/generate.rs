//! Documents made from a schema with a seed: valid ones, and valid ones spoilt in a few places.

use serde_json::{Map, Value, json};

/// `SplitMix64`: the same seed gives the same documents on every machine.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Texts that match each pattern of our schemas. A pattern without a row fails the test that meets it.
fn examples(pattern: &str) -> &'static [&'static str] {
    match pattern {
        "^[a-zA-Z0-9_-]+$" => &["a", "direct", "Z9_-", "extract_1756970000000_a1b2c3d4e"],
        "^[a-z0-9_.-]+$" => &["default", "money", "a.b-c_9"],
        "^[a-z0-9_]+$" => &["value_dropped_unverified", "x9"],
        "^[!-~]+$" => &["!", "key~1", "a/b"],
        "^https?://[!-~]+$" => &["http://a", "https://example.org/a?b=c#d"],
        "^(https?|file)://[!-~]+$" => &["http://a", "https://example.org/", "file:///srv/a.html"],
        "^[0-9a-f]{64}$" => &["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" => &["01991234-5678-7abc-8def-0123456789ab"],
        "^(/([^~/]|~[01])*)*$" => &["", "/0", "/0/name", "/a~1b~0c", "/"],
        usd if usd.contains("\\.") => &["0", "-3", "0.0125", "999999999.999999999", "-0.000000001"],
        "^([0-9a-f]{2})*$" => &["", "00", "ff0a"],
        other => panic!("no example for pattern {other}"),
    }
}

const TEXTS: [&str; 8] = ["", "a", "Soup", "\u{e9}t\u{e9}", "\u{1f35c}", "null", "5", "a\nb"];

/// A document that `schema` accepts; `root` holds its definitions.
pub(crate) fn valid(schema: &Value, root: &Value, rng: &mut Rng) -> Value {
    let Some(map) = schema.as_object().filter(|map| map.keys().any(|key| key != "description" && key != "default"))
    else {
        return open(rng, 3);
    };
    if let Some(target) = map.get("$ref").and_then(Value::as_str) {
        return valid(root.pointer(&target[1..]).unwrap(), root, rng);
    }
    for list in ["anyOf", "oneOf"] {
        if let Some(branches) = map.get(list).and_then(Value::as_array) {
            return valid(&branches[rng.below(branches.len())], root, rng);
        }
    }
    if let Some(words) = map.get("enum").and_then(Value::as_array) {
        return words[rng.below(words.len())].clone();
    }
    if let Some(word) = map.get("const") {
        return word.clone();
    }
    let kind = match &map["type"] {
        Value::Array(kinds) => &kinds[rng.below(kinds.len())],
        kind => kind,
    };
    match kind.as_str().unwrap() {
        "null" => Value::Null,
        "boolean" => json!(rng.chance(50)),
        "integer" => integer(map, rng),
        "string" => text(map, rng),
        "array" => {
            let items = map.get("items").unwrap_or(&Value::Bool(true));
            (0..rng.below(3)).map(|_| valid(items, root, rng)).collect()
        }
        "object" => object(map, root, rng),
        other => panic!("no values for type {other}"),
    }
}

fn integer(schema: &Map<String, Value>, rng: &mut Rng) -> Value {
    let (min, max) = (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64().unwrap());
    let spread = i64::try_from(rng.below(50)).unwrap();
    let number = match rng.below(4) {
        0 => min,
        1 => max,
        _ => min.saturating_add(spread).min(max),
    };
    // The same number spelled with an empty fraction is the same integer.
    if rng.chance(10) { json!(number.to_string().parse::<f64>().unwrap()) } else { json!(number) }
}

fn text(schema: &Map<String, Value>, rng: &mut Rng) -> Value {
    let length = |key: &str| schema.get(key).map(|length| usize::try_from(length.as_u64().unwrap()).unwrap());
    let (min, max) = (length("minLength").unwrap_or(0), length("maxLength").unwrap_or(40));
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        let fitting: Vec<&str> =
            examples(pattern).iter().copied().filter(|text| (min..=max).contains(&text.len())).collect();
        return json!(rng.pick(&fitting));
    }
    let full = rng.chance(5).then_some(max);
    let length = full.unwrap_or_else(|| min.max(rng.below(12)).min(max));
    json!(
        std::iter::repeat_n(*TEXTS[1..5].get(rng.below(4)).unwrap(), length)
            .flat_map(|t| t.chars().take(1))
            .collect::<String>()
    )
}

fn object(schema: &Map<String, Value>, root: &Value, rng: &mut Rng) -> Value {
    let mut made = Map::new();
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if required.contains(&name.as_str()) || rng.chance(40) {
            made.insert(name.clone(), valid(field, root, rng));
        }
    }
    for (pattern, values) in schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
        for _ in 0..rng.below(3) {
            made.insert(rng.pick(examples(pattern)).into(), valid(values, root, rng));
        }
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(true)) {
        made.insert(rng.pick(&TEXTS).into(), open(rng, 2));
    }
    Value::Object(made)
}

/// Any JSON, small.
fn open(rng: &mut Rng, depth: usize) -> Value {
    match rng.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(rng.chance(50)),
        2 | 3 => json!(rng.pick(&TEXTS)),
        4 => json!(i64::try_from(rng.next() >> rng.below(64)).unwrap_or(-1)),
        5 => {
            [json!(0.1), json!(-0.0), json!(5.0), json!(1e300), json!(u64::MAX), json!(i64::MIN)][rng.below(6)].clone()
        }
        6 => (0..rng.below(3)).map(|_| open(rng, depth - 1)).collect(),
        _ => {
            (0..rng.below(3)).map(|_| (rng.pick(&TEXTS).to_owned(), open(rng, depth - 1))).collect::<Map<_, _>>().into()
        }
    }
}

/// Changes one random place of `document`.
pub(crate) fn spoil(document: &mut Value, rng: &mut Rng) {
    let place = descend(document, rng);
    match rng.below(6) {
        0 => *place = open(rng, 2),
        1 => *place = Value::Null,
        2 => *place = json!([place.take()]),
        _ => match place {
            Value::Object(map) => spoil_object(map, rng),
            Value::Array(items) if items.is_empty() => items.push(open(rng, 2)),
            Value::Array(items) => {
                let item = items[rng.below(items.len())].clone();
                items.push(item);
            }
            Value::String(text) => spoil_text(text, rng),
            Value::Number(_) => *place = other_number(place, rng),
            Value::Bool(flag) => *place = json!(flag.to_string()),
            Value::Null => *place = open(rng, 1),
        },
    }
}

fn descend<'a>(mut place: &'a mut Value, rng: &mut Rng) -> &'a mut Value {
    loop {
        let children = place.as_object().map_or(0, Map::len) + place.as_array().map_or(0, Vec::len);
        if children == 0 || rng.chance(20) {
            return place;
        }
        let child = rng.below(children);
        place = match place {
            Value::Object(map) => map.values_mut().nth(child).unwrap(),
            Value::Array(items) => &mut items[child],
            _ => unreachable!("it has children"),
        };
    }
}

fn spoil_object(map: &mut Map<String, Value>, rng: &mut Rng) {
    const NAMES: [&str; 14] = [
        "kind",
        "type",
        "name",
        "url",
        "data",
        "extra",
        "",
        "a/b",
        "Success",
        "/0/name",
        "0",
        "~",
        "inputs",
        "schemaVersion",
    ];
    let key = (!map.is_empty()).then(|| map.keys().nth(rng.below(map.len())).cloned().unwrap());
    match (rng.below(4), key) {
        (0, Some(key)) => {
            map.remove(&key);
        }
        (1, Some(key)) => {
            let value = map.remove(&key).unwrap();
            map.insert(rng.pick(&NAMES).to_owned(), value);
        }
        (2, Some(key)) => {
            let value = map[&key].clone();
            map.insert(format!("{key}{}", rng.pick(&["x", " ", "\n", "~2", "/"])), value);
        }
        _ => {
            let length = if rng.chance(5) { 1030 } else { 1 };
            map.insert(rng.pick(&NAMES).repeat(length), open(rng, 1));
        }
    }
}

fn spoil_text(text: &mut String, rng: &mut Rng) {
    const WORDS: [&str; 12] = [
        "visible_text",
        "embedded",
        "derived",
        "completed",
        "failed",
        "budget",
        "worker",
        "caller",
        "direct",
        "1.0.0",
        "0.50",
        "-0",
    ];
    match rng.below(7) {
        0 => text.clear(),
        1 => text.push_str(rng.pick(&["\n", " ", "\u{e9}", "~", "/", "0", "."])),
        2 => *text = text.to_uppercase(),
        3 => rng.pick(&WORDS).clone_into(text),
        4 => {
            text.pop();
        }
        5 => {
            *text = rng
                .pick(&["a", "\u{1f35c}"])
                .repeat(rng.pick(&[&64, &65, &128, &129, &256, &257, &1001, &5001]) + rng.below(2));
        }
        _ => text.insert(0, ' '),
    }
}

fn other_number(number: &Value, rng: &mut Rng) -> Value {
    const LIMIT: i64 = 9_007_199_254_740_991;
    let near = number.as_i64().unwrap_or(5);
    let choices = [
        json!(near.saturating_add(1)),
        json!(near.saturating_sub(1)),
        json!(-1),
        json!(0),
        json!(LIMIT),
        json!(LIMIT + 1),
        json!(near.to_string().parse::<f64>().unwrap()),
        json!(0.5),
        json!(-0.0),
        json!(1e300),
        json!(u64::MAX),
        json!(4_294_967_296_u64),
        json!(65_536),
        json!(number.to_string()),
    ];
    choices[rng.below(choices.len())].clone()
}
