//! From a checked schema to the tree of wanted fields.

use super::check::{fault, resolve};
use super::{Field, Hints, Kind, Node, NodeRef, SchemaFault, SchemaFaultKind};
use atlas_schema::JsonPointer;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// More nodes than this, references unfolded once each, are refused.
const MAX_NODES: usize = 4000;
/// Deeper nesting, references unfolded, is refused.
const MAX_DEPTH: usize = 100;

/// The nodes of a schema, the record itself first.
pub(super) fn nodes(schema: &Value) -> Result<Vec<Node>, SchemaFault> {
    let mut compiler = Compiler { root: schema, nodes: Vec::new(), done: HashMap::new(), depth: 0 };
    compiler.node(schema)?;
    Ok(compiler.nodes)
}

struct Compiler<'a> {
    root: &'a Value,
    nodes: Vec<Node>,
    /// Places already compiled, by address: a recursive schema becomes a cyclic tree.
    done: HashMap<*const Value, NodeRef>,
    /// How many nodes are open: references can nest deeper than the document does.
    depth: usize,
}

impl<'a> Compiler<'a> {
    fn node(&mut self, schema: &'a Value) -> Result<NodeRef, SchemaFault> {
        if let Some(done) = self.done.get(&std::ptr::from_ref(schema)) {
            return Ok(*done);
        }
        if self.nodes.len() >= MAX_NODES || self.depth >= MAX_DEPTH {
            let message =
                "make the schema smaller: at most 4000 nodes, nested at most 100 deep with references unfolded";
            return Err(fault(JsonPointer::root(), SchemaFaultKind::TooLarge, message));
        }
        let at = self.nodes.len();
        let this = NodeRef(u32::try_from(at).unwrap_or(u32::MAX));
        self.done.insert(std::ptr::from_ref(schema), this);
        self.nodes.push(Node::default());
        let mut parts = Vec::new();
        self.parts(schema, &mut parts, 0);
        self.depth += 1;
        let node = self.merged(&parts)?;
        self.depth -= 1;
        self.nodes[at] = node;
        Ok(this)
    }

    /// A schema and everything that must hold together with it: what `$ref` and `allOf` lead to.
    fn parts(&self, schema: &'a Value, parts: &mut Vec<&'a Map<String, Value>>, depth: usize) {
        let Value::Object(object) = schema else { return };
        if depth > 32 || parts.iter().any(|part| std::ptr::eq(*part, object)) {
            return;
        }
        parts.push(object);
        if let Some(target) = object.get("$ref").and_then(Value::as_str).and_then(|target| resolve(self.root, target)) {
            self.parts(target, parts, depth + 1);
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.parts(part, parts, depth + 1);
        }
    }

    fn merged(&mut self, parts: &[&'a Map<String, Value>]) -> Result<Node, SchemaFault> {
        let first = |key: &str| parts.iter().find_map(|part| part.get(key));
        let text = |key: &str| first(key).and_then(Value::as_str).map(str::to_owned);
        let mut types: Vec<&str> = match first("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut nullable = types.contains(&"null");
        types.retain(|name| *name != "null");
        let allowed = first("enum").and_then(Value::as_array).cloned();
        let allowed = allowed.or_else(|| first("const").map(|value| vec![value.clone()]));
        nullable |= allowed.as_ref().is_some_and(|values| values.contains(&Value::Null));

        let mut alternatives = Vec::new();
        for part in parts.iter().flat_map(|part| ["anyOf", "oneOf"].into_iter().filter_map(|key| part.get(key))) {
            for option in part.as_array().into_iter().flatten() {
                if option.get("type").and_then(Value::as_str) == Some("null") {
                    nullable = true;
                } else {
                    alternatives.push(self.node(option)?);
                }
            }
        }
        let describes_object =
            parts.iter().any(|part| part.contains_key("properties") || part.contains_key("additionalProperties"));
        let describes_array = parts.iter().any(|part| part.contains_key("items"));
        let kinds = if types.is_empty() && describes_object {
            vec!["object"]
        } else if types.is_empty() && describes_array {
            vec!["array"]
        } else if types.is_empty() && text("format").is_some() {
            vec!["string"]
        } else {
            types
        };
        let mut single = Vec::new();
        for name in kinds {
            single.push(self.kind(name, parts)?);
        }
        let kind = match (single.len(), alternatives.len()) {
            (1, _) => single.remove(0),
            (0, 0) => Kind::Any,
            (0, 1) => {
                let inner = self.nodes.get(alternatives[0].0 as usize).cloned().unwrap_or_default();
                nullable |= inner.nullable;
                return Ok(Node {
                    nullable,
                    title: text("title").or(inner.title),
                    description: text("description").or(inner.description),
                    allowed: allowed.or(inner.allowed),
                    hints: first("x-atlas").map_or(inner.hints, hints),
                    kind: inner.kind,
                });
            }
            (0, _) => Kind::Union(alternatives),
            _ => {
                let mut options = Vec::new();
                for kind in single {
                    options.push(NodeRef(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)));
                    self.nodes.push(Node { kind, ..Node::default() });
                }
                Kind::Union(options)
            }
        };
        let hints = first("x-atlas").map(hints).unwrap_or_default();
        Ok(Node { kind, nullable, title: text("title"), description: text("description"), allowed, hints })
    }

    fn kind(&mut self, name: &str, parts: &[&'a Map<String, Value>]) -> Result<Kind, SchemaFault> {
        let first = |key: &str| parts.iter().find_map(|part| part.get(key));
        Ok(match name {
            "object" => {
                let required: Vec<&str> = parts
                    .iter()
                    .filter_map(|part| part.get("required")?.as_array())
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let mut fields: Vec<Field> = Vec::new();
                for (name, schema) in parts.iter().filter_map(|part| part.get("properties")?.as_object()).flatten() {
                    if schema == &Value::Bool(false) || fields.iter().any(|field| field.name == *name) {
                        continue;
                    }
                    let node = self.node(schema)?;
                    fields.push(Field { name: name.clone(), required: required.contains(&name.as_str()), node });
                }
                let rest = match first("additionalProperties") {
                    Some(schema @ Value::Object(_)) => Some(self.node(schema)?),
                    Some(schema @ Value::Bool(true)) if fields.is_empty() => Some(self.node(schema)?),
                    _ => None,
                };
                Kind::Object { fields, rest }
            }
            "array" => {
                let items = if let Some(items) = first("items") {
                    self.node(items)?
                } else {
                    self.nodes.push(Node::default());
                    NodeRef(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
                };
                let unique = first("uniqueItems") == Some(&Value::Bool(true));
                Kind::Array { items, max: first("maxItems").and_then(Value::as_u64), unique }
            }
            "string" => Kind::Text { format: first("format").and_then(Value::as_str).map(str::to_owned) },
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            _ => Kind::Any,
        })
    }
}

fn hints(keyword: &Value) -> Hints {
    let text = |key: &str| keyword.get(key).and_then(Value::as_str).map(str::to_owned);
    let list = |key: &str| match keyword.get(key) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    Hints { kind: text("kind"), item: text("type"), paths: list("path"), labels: list("labels") }
}
