//! Shape: a caller's JSON Schema as a typed tree of wanted fields.
//!
//! A schema is checked once, before anything is fetched: everything wrong with it is reported together, by JSON Pointer.
//! Nothing here resolves a reference outside the schema itself. The final word on a record is the compiled validator's;
//! the tree only steers the search.

mod check;
mod compile;
mod finite;
mod pattern;

use atlas_schema::{ErrorCategory, JsonPointer};
use serde_json::Value;
use std::fmt;

/// Names a node of one [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRef(u32);

/// The shape of one record.
#[derive(Debug)]
pub struct Shape {
    nodes: Vec<Node>,
    schema: Value,
    validator: jsonschema::Validator,
}

/// What is wanted at one place of a record.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// What may stand there.
    pub kind: Kind,
    /// Whether `null` may.
    pub nullable: bool,
    /// The schema's title: a hint at a type's name.
    pub title: Option<String>,
    /// The schema's description: a hint at units.
    pub description: Option<String>,
    /// The values allowed, if they are listed.
    pub allowed: Option<Vec<Value>>,
    /// The `x-atlas` keyword.
    pub hints: Hints,
}

/// What the schema's own keyword `x-atlas` says: an object with these members, all optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// `kind`: how to read the text, such as `amount`, `currency`, `minutes`, `servings`, `availability`, `url`.
    pub kind: Option<String>,
    /// `type`: the vocabulary type of the item, such as `Recipe`.
    pub item: Option<String>,
    /// `path`: dotted property paths to look at first, such as `offers.price`.
    pub paths: Vec<String>,
    /// `labels`: texts that label the value on the page.
    pub labels: Vec<String>,
}

/// What may stand at a place.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Kind {
    /// Anything.
    #[default]
    Any,
    /// An object.
    Object {
        /// The named members.
        fields: Vec<Field>,
        /// What further members may be, if any are wanted.
        rest: Option<NodeRef>,
    },
    /// An array.
    Array {
        /// What its entries are.
        items: NodeRef,
        /// How many at most.
        max: Option<u64>,
        /// Whether each may stand there once only.
        unique: bool,
    },
    /// A string.
    Text {
        /// Its format, such as `date` or `uri`.
        format: Option<String>,
    },
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A boolean.
    Boolean,
    /// One of several.
    Union(Vec<NodeRef>),
}

/// A named member of an object.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Whether a record must have it.
    pub required: bool,
    /// What it is.
    pub node: NodeRef,
}

impl Shape {
    /// Checks and compiles a JSON Schema (draft 2020-12) that describes one record.
    ///
    /// Limits: 2,000 nodes and references; nesting of 64; patterns of 1,000 bytes and modest size when compiled, each
    /// and together; 10,000 schemas applied to one value.
    ///
    /// # Errors
    /// [`SchemaError`] with every fault found.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let faults = check::faults(schema);
        if !faults.is_empty() {
            return Err(SchemaError { faults });
        }
        let nodes = compile::nodes(schema).map_err(|fault| SchemaError { faults: vec![fault] })?;
        let validator = check::validator(schema).map_err(|fault| SchemaError { faults: vec![fault] })?;
        Ok(Self { nodes, schema: schema.clone(), validator })
    }

    /// The record itself.
    pub fn root(&self) -> NodeRef {
        NodeRef(0)
    }

    /// One node.
    pub fn node(&self, node: NodeRef) -> &Node {
        static ANY: std::sync::LazyLock<Node> = std::sync::LazyLock::new(Node::default);
        self.nodes.get(node.0 as usize).unwrap_or(&ANY)
    }

    /// The members of an object; empty for everything else.
    pub fn fields(&self, node: NodeRef) -> &[Field] {
        match &self.node(node).kind {
            Kind::Object { fields, .. } => fields,
            _ => &[],
        }
    }

    /// The schema compiled.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Whether a record satisfies the schema.
    pub fn accepts(&self, record: &Value) -> bool {
        self.validator.is_valid(record)
    }

    /// Whether a record satisfies the schema but for required members that it lacks at its top.
    pub(crate) fn lacks_only_required(&self, record: &Value) -> bool {
        self.validator
            .iter_errors(record)
            .all(|error| error.instance_path().as_str().is_empty() && error.kind().keyword() == "required")
    }

    /// What keeps a record from satisfying the schema: pointers into the record, each with the keyword broken.
    pub fn violations(&self, record: &Value) -> Vec<Violation> {
        let errors = self.validator.iter_errors(record).take(100);
        let violation = |error: jsonschema::ValidationError<'_>| Violation {
            pointer: JsonPointer::parse(error.instance_path().as_str()).unwrap_or_default(),
            rule: error.kind().keyword().to_owned(),
        };
        errors.map(violation).collect()
    }
}

/// A place of a record that the schema does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where in the record.
    pub pointer: JsonPointer,
    /// Which keyword of the schema.
    pub rule: String,
}

/// A schema that cannot be used, with everything wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// At least one, in document order.
    pub faults: Vec<SchemaFault>,
}

/// One thing wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// Where in the schema.
    pub pointer: JsonPointer,
    /// What sort of fault.
    pub kind: SchemaFaultKind,
    /// What is wrong and what to do, without values.
    pub message: String,
}

/// What sort of fault a schema has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaFaultKind {
    /// It is not a JSON Schema.
    NotASchema,
    /// It does not describe one record.
    NotARecord,
    /// It refers outside itself.
    RemoteReference,
    /// It refers to a place that does not exist.
    DanglingReference,
    /// It cannot be satisfied by any finite record.
    Endless,
    /// It cannot be satisfied by any record.
    Contradictory,
    /// It is larger or nested deeper than the limits allow.
    TooLarge,
    /// A pattern is malformed or too costly.
    Pattern,
}

impl SchemaError {
    /// Always the request's own fault.
    pub const fn category(&self) -> ErrorCategory {
        ErrorCategory::InvalidInput
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the schema cannot be used")?;
        for (at, fault) in self.faults.iter().enumerate() {
            let pointer = if fault.pointer.as_str().is_empty() { "the top" } else { fault.pointer.as_str() };
            write!(f, "{} at {pointer}: {}", if at == 0 { ":" } else { ";" }, fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for SchemaError {}
