//! What goes to a model and what comes back. `Debug` shows sizes, never words.

use super::strict::{SchemaError, SchemaFault, Strict, is_name, strict};
use crate::catalogue::{Effort, ModelId, Structured};
use crate::cost::{CacheTime, ServiceTier, TokenUsage};
use atlas_schema::CorrelationId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The program, with rules for the model.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// Something said.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// By whom.
    pub role: Role,
    /// What.
    pub text: String,
}

impl Message {
    /// Rules for the model.
    pub fn system(text: impl Into<String>) -> Self {
        Self { role: Role::System, text: text.into() }
    }

    /// A question.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, text: text.into() }
    }

    /// What the model said before.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, text: text.into() }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.role, self.text.len())
    }
}

/// A JSON Schema that a reply must follow. Reading it back holds to the rules by which it was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct JsonSchema {
    name: String,
    schema: Value,
    strict: bool,
    nullable: Vec<String>,
}

impl JsonSchema {
    /// A schema that the provider holds the model to while it writes, rewritten into the subset that providers can: each object
    /// closed, each property required. One that was optional may be null instead: see [`nullable`](Self::nullable).
    ///
    /// `name` is what the provider calls it: at most 64 of `A-Z a-z 0-9 _ -`.
    ///
    /// # Errors
    /// [`SchemaError`] with everything that is not of the subset or over its limits, each by its place.
    pub fn strict(name: impl Into<String>, schema: &Value) -> Result<Self, SchemaError> {
        let name = named(name.into())?;
        let Strict { schema, nullable } = strict(schema)?;
        Ok(Self { name, schema, strict: true, nullable })
    }

    /// A schema that the model is told and may miss.
    ///
    /// # Errors
    /// [`SchemaError`] for a name that is none.
    pub fn loose(name: impl Into<String>, schema: Value) -> Result<Self, SchemaError> {
        Ok(Self { name: named(name.into())?, schema, strict: false, nullable: Vec::new() })
    }

    /// What the provider calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema. A client may write references to its root another way.
    pub const fn schema(&self) -> &Value {
        &self.schema
    }

    /// Whether the provider holds the model to it.
    pub const fn is_strict(&self) -> bool {
        self.strict
    }

    /// Places of the schema, as JSON Pointers, whose property was optional: a null there means that it is absent.
    pub fn nullable(&self) -> &[String] {
        &self.nullable
    }
}

fn named(name: String) -> Result<String, SchemaError> {
    if is_name(&name) { Ok(name) } else { Err(whole("must have a name of at most 64 of A-Z a-z 0-9 _ -")) }
}

/// A fault of the whole.
fn whole(rule: &'static str) -> SchemaError {
    SchemaError { faults: vec![SchemaFault { pointer: String::new(), rule }] }
}

/// A schema as it was written, before anything is known of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    schema: Value,
    strict: bool,
    nullable: Vec<String>,
}

impl TryFrom<Written> for JsonSchema {
    type Error = SchemaError;

    fn try_from(written: Written) -> Result<Self, SchemaError> {
        let Written { name, schema, strict: is_strict, nullable } = written;
        if !is_strict {
            let loose = Self::loose(name, schema)?;
            let is_loose = nullable.is_empty();
            return if is_loose {
                Ok(loose)
            } else {
                Err(whole("must be strict to have places that may be null instead"))
            };
        }
        // What is of the subset already stays as it is when it is rewritten into it.
        let again = Self::strict(name, &schema)?;
        if again.schema != schema || !again.nullable.is_empty() {
            return Err(whole("must be in the form that strict schemas are rewritten into: make it anew"));
        }
        if nullable.iter().any(|place| !place.starts_with('/')) {
            return Err(whole("must name places that may be null instead by JSON Pointers"));
        }
        Ok(Self { nullable, ..again })
    }
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonSchema").field("name", &self.name).field("strict", &self.strict).finish_non_exhaustive()
    }
}

/// What form the reply is to have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// Words.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON of that schema.
    JsonSchema(JsonSchema),
}

impl Format {
    /// What a model must be able to do.
    pub const fn needs(&self) -> Structured {
        match self {
            Self::Text => Structured::None,
            Self::JsonObject => Structured::JsonObject,
            Self::JsonSchema(_) => Structured::JsonSchema,
        }
    }
}

/// How freely a model chooses its words, in thousandths, from 0 to 2000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Temperature(u16);

impl TryFrom<u16> for Temperature {
    type Error = &'static str;

    fn try_from(thousandths: u16) -> Result<Self, Self::Error> {
        Self::from_thousandths(thousandths).ok_or("a temperature must be from 0 to 2000 thousandths")
    }
}

impl From<Temperature> for u16 {
    fn from(temperature: Temperature) -> Self {
        temperature.as_thousandths()
    }
}

impl Temperature {
    /// As repeatable as the model can be.
    pub const ZERO: Self = Self(0);

    /// From thousandths; `None` over 2000.
    pub const fn from_thousandths(thousandths: u16) -> Option<Self> {
        if thousandths > 2000 { None } else { Some(Self(thousandths)) }
    }

    /// Thousandths.
    pub const fn as_thousandths(self) -> u16 {
        self.0
    }
}

/// One request to one model, with nothing in it that the model's row does not allow.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Call {
    /// The model.
    pub model: ModelId,
    /// What is said, in order.
    pub messages: Vec<Message>,
    /// Most tokens of the reply, reasoning included.
    pub output_cap: u64,
    /// What form the reply is to have.
    pub format: Format,
    /// How much reasoning; `None` is the model's own.
    pub effort: Option<Effort>,
    /// How freely it chooses its words; `None` is the model's own.
    pub temperature: Option<Temperature>,
    /// In which service tier it is to be answered.
    pub service_tier: ServiceTier,
    /// How long the provider's prompt cache is to keep the prompt.
    pub cache_time: CacheTime,
    /// A key that is the same for the same call only, for providers that know such.
    pub idempotency_key: Option<String>,
    /// The request that causes the call.
    pub correlation_id: Option<CorrelationId>,
}

impl Call {
    /// A call for words, in the normal service tier.
    pub const fn new(model: ModelId, messages: Vec<Message>, output_cap: u64) -> Self {
        Self {
            model,
            messages,
            output_cap,
            format: Format::Text,
            effort: None,
            temperature: None,
            service_tier: ServiceTier::Default,
            cache_time: CacheTime::Short,
            idempotency_key: None,
            correlation_id: None,
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("model", &self.model)
            .field("messages", &self.messages)
            .field("output_cap", &self.output_cap)
            .field("format", &self.format)
            .field("effort", &self.effort)
            .field("service_tier", &self.service_tier)
            .finish_non_exhaustive()
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finish {
    /// The model was done.
    Stop,
    /// The cap was reached: the reply is cut.
    Length,
    /// The model refused to answer.
    Refused,
    /// The provider took the reply, or the rest of it, away.
    Filtered,
    /// Another reason, or none given.
    Other,
}

/// What a model answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reply {
    /// What it said; its words of refusal if it refused.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What the provider bills; `None` if it does not say.
    pub usage: Option<TokenUsage>,
    /// In which service tier it was answered, in the provider's words.
    pub service_tier: Option<String>,
    /// Which model answered, in the provider's words.
    pub model: Option<String>,
    /// The provider's name for the request, for its support.
    pub request_id: Option<String>,
}

impl Reply {
    /// A reply that came to its end.
    pub fn new(text: impl Into<String>, usage: Option<TokenUsage>) -> Self {
        Self { text: text.into(), finish: Finish::Stop, usage, service_tier: None, model: None, request_id: None }
    }

    /// With another end.
    #[must_use]
    pub const fn with_finish(mut self, finish: Finish) -> Self {
        self.finish = finish;
        self
    }

    /// With the service tier that answered.
    #[must_use]
    pub fn with_service_tier(mut self, tier: impl Into<String>) -> Self {
        self.service_tier = Some(tier.into());
        self
    }

    /// With the provider's name for the request.
    #[must_use]
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("text", &format_args!("{} bytes", self.text.len()))
            .field("finish", &self.finish)
            .field("usage", &self.usage)
            .field("service_tier", &self.service_tier)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
