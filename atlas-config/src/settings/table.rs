//! The table of settings: one row per setting, grouped by who reads it.
//!
//! A row states type, name, the predecessor's names, rule, preset and where it is required; the structs, the list of
//! [`Field`]s and the reading all come from the row, so none of them can drift from the others.

use super::{
    field::{Field, Part, Preset, Required, Rule, choice},
    reader::Reader,
    value::choice_setting,
};
use crate::{Secret, egress::IpNet};
use atlas_schema::{Stage, Usd};
use std::{path::PathBuf, time::Duration};
use url::Url;

const GUARDED: &[Stage] = &[Stage::Staging, Stage::Production];
const MIB: u64 = 1 << 20;

choice! {
    /// What kind of environment a process runs in. The stage decides it.
    Environment {
        /// Stages `dev` and `preview`.
        Development = "development",
        /// Stages `staging` and `production`.
        Production = "production",
        /// An automated test; stage `dev` only.
        Test = "test",
    }
}

choice! {
    /// Which generation of models is used.
    ModelStrategy {
        /// The preview generation if it is enabled.
        Auto = "auto",
        /// The stable generation.
        Gpt4Stable = "gpt4_stable",
        /// The preview generation.
        Gpt5Preview = "gpt5_preview",
    }
}

choice! {
    /// Which size of the preview generation is used.
    ModelSize {
        /// As the task needs.
        Auto = "auto",
        /// The smallest.
        Nano = "nano",
        /// The middle one.
        Mini = "mini",
        /// The largest.
        Full = "full",
    }
}

choice! {
    /// The least severe log line that is written.
    LogLevel {
        /// Everything.
        Trace = "TRACE",
        /// For developers.
        Debug = "DEBUG",
        /// The normal course.
        Info = "INFO",
        /// What someone should look at.
        Warn = "WARN",
        /// Failures only.
        Error = "ERROR",
    }
}

choice_setting! {
    Environment = Self::Development,
    ModelStrategy = Self::Gpt4Stable,
    ModelSize = Self::Auto,
    LogLevel = Self::Info,
}

macro_rules! group {
    (
        $(#[$doc:meta])* $group:ident {
            $( #[doc = $text:literal]
               $field:ident: $type:ty = $name:literal $(| $alias:literal)*, $rule:expr, $preset:expr $(, $required:expr)?; )+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct $group { $( #[doc = $text] #[doc = concat!("\n\n`", $name, "`")] pub $field: $type, )+ }

        impl $group {
            pub(super) const FIELDS: &'static [Field] = &[ $( Field {
                name: $name,
                aliases: &[$($alias),*],
                rule: $rule,
                preset: $preset,
                required: group!(@required $($required)?),
                doc: $text.trim_ascii_start(),
            } ),+ ];

            pub(super) fn read(reader: &mut Reader<'_>) -> Self {
                let mut fields = Self::FIELDS.iter();
                Self { $( $field: reader.next(&mut fields), )+ }
            }
        }
    };
    (@required) => { None };
    (@required $required:expr) => { Some($required) };
}

const fn whole(min: u64, max: u64, unit: &'static str) -> Rule {
    Rule::Whole { min, max, unit }
}

group! {
    /// Where the process runs.
    Deployment {
        /// What kind of environment the host says it is; must agree with the stage.
        node_env: Option<Environment> = "ATLAS_NODE_ENV" | "NODE_ENV", Rule::OneOf(Environment::NAMES), Preset::Absent;
        /// The cloud region.
        region: String = "ATLAS_AWS_REGION" | "AWS_REGION" | "AWS_DEFAULT_REGION", Rule::Text(32), Preset::All("us-west-2");
        /// The account that owns this stage's resources; a queue of another account is refused.
        account_id: Option<String> = "ATLAS_AWS_ACCOUNT_ID", Rule::Digits(12), Preset::Absent;
        /// The wake-up queue; must be this stage's.
        queue_url: Option<Url> = "ATLAS_QUEUE_URL" | "QUEUE_URL", Rule::Url(&["https", "http"]), Preset::Absent;
        /// The websocket endpoint; must be this stage's.
        websocket_endpoint: Option<Url> = "ATLAS_WEBSOCKET_API_ENDPOINT" | "WEBSOCKET_API_ENDPOINT", Rule::Url(&["wss", "https"]), Preset::Absent;
        /// The bucket of large results; must be this stage's.
        artifacts_bucket: Option<String> = "ATLAS_ARTIFACTS_BUCKET" | "ARTIFACTS_BUCKET", Rule::Text(63), Preset::Absent;
        /// The table of connections; must be this stage's.
        connections_table: Option<String> = "ATLAS_CONNECTIONS_TABLE" | "CONNECTIONS_TABLE", Rule::Text(255), Preset::Absent;
        /// After how long the platform stops a function.
        lambda_timeout: Duration = "ATLAS_LAMBDA_TIMEOUT" | "LAMBDA_TIMEOUT", whole(1, 900, "s"), Preset::All("300");
        /// After how long a worker stops itself; less than the platform's limit.
        worker_timeout: Duration = "ATLAS_WORKER_TIMEOUT" | "WORKER_TIMEOUT", whole(1, 900, "s"), Preset::All("280");
        /// Memory of a function, in MiB.
        lambda_memory: u32 = "ATLAS_LAMBDA_MEMORY_SIZE" | "LAMBDA_MEMORY_SIZE", whole(128, 10_240, "MiB"), Preset::All("1024");
        /// The least severe log line that is written.
        log_level: LogLevel = "ATLAS_LOG_LEVEL" | "LOG_LEVEL", Rule::OneOf(LogLevel::NAMES), Preset::PerStage(["DEBUG", "DEBUG", "INFO", "INFO"]);
        /// How long a cached answer stays fresh.
        cache_ttl: Duration = "ATLAS_CACHE_TTL" | "CACHE_TTL", whole(0, 86_400, "s"), Preset::PerStage(["300", "300", "600", "3600"]);
    }
}

group! {
    /// The HTTP service.
    Service {
        /// The key that callers present.
        master_api_key: Option<Secret> = "ATLAS_MASTER_API_KEY" | "MASTER_API_KEY", Rule::Secret, Preset::Absent, Required { stages: GUARDED, part: Part::Service };
        /// The origin that browsers may call from; `*` for any.
        cors_origin: String = "ATLAS_CORS_ORIGIN" | "CORS_ORIGIN", Rule::Text(255), Preset::All("*");
        /// Whether jobs run in the background.
        async_processing: bool = "ATLAS_FEATURE_ASYNC_PROCESSING" | "FEATURE_ASYNC_PROCESSING", Rule::Bool, Preset::All("true");
        /// Whether batches of jobs are taken.
        batch_processing: bool = "ATLAS_FEATURE_BATCH_PROCESSING" | "FEATURE_BATCH_PROCESSING", Rule::Bool, Preset::All("false");
        /// Whether finished jobs call a webhook.
        webhook_support: bool = "ATLAS_FEATURE_WEBHOOK_SUPPORT" | "FEATURE_WEBHOOK_SUPPORT", Rule::Bool, Preset::All("false");
        /// Whether log lines carry details.
        advanced_logging: bool = "ATLAS_FEATURE_ADVANCED_LOGGING" | "FEATURE_ADVANCED_LOGGING", Rule::Bool, Preset::All("true");
    }
}

group! {
    /// Language models and what they may cost.
    Models {
        /// The provider's key.
        openai_api_key: Option<Secret> = "ATLAS_OPENAI_API_KEY" | "OPENAI_API_KEY", Rule::Secret, Preset::Absent, Required { stages: GUARDED, part: Part::Models };
        /// Whether the preview generation may be used.
        gpt5_enabled: bool = "ATLAS_GPT5_ENABLED" | "GPT5_ENABLED", Rule::Bool, Preset::PerStage(["true", "true", "false", "false"]);
        /// Which size of the preview generation is used.
        gpt5_model_selection: ModelSize = "ATLAS_GPT5_MODEL_SELECTION" | "GPT5_MODEL_SELECTION", Rule::OneOf(ModelSize::NAMES), Preset::All("auto");
        /// Whether a failed call of the preview generation falls back to the stable one.
        gpt5_fallback_enabled: bool = "ATLAS_GPT5_FALLBACK_ENABLED" | "GPT5_FALLBACK_ENABLED", Rule::Bool, Preset::All("true");
        /// Whether the preview generation may reason.
        gpt5_reasoning_enabled: bool = "ATLAS_GPT5_REASONING_ENABLED" | "GPT5_REASONING_ENABLED", Rule::Bool, Preset::All("true");
        /// Whether only the stable generation may be used.
        force_gpt4: bool = "ATLAS_FORCE_GPT4" | "FORCE_GPT4", Rule::Bool, Preset::PerStage(["false", "false", "true", "true"]);
        /// Which generation is used where both may be.
        strategy: ModelStrategy = "ATLAS_DEFAULT_MODEL_STRATEGY" | "DEFAULT_MODEL_STRATEGY", Rule::OneOf(ModelStrategy::NAMES), Preset::PerStage(["gpt5_preview", "gpt5_preview", "gpt4_stable", "gpt4_stable"]);
        /// Whether all extraction goes through the one engine.
        unified_extractor_enabled: bool = "ATLAS_UNIFIED_EXTRACTOR_ENABLED" | "UNIFIED_EXTRACTOR_ENABLED", Rule::Bool, Preset::All("true");
        /// What models may cost per calendar month (UTC).
        monthly_budget: Usd = "ATLAS_MONTHLY_BUDGET" | "MONTHLY_BUDGET", Rule::Dollars { min: 1, max: 100_000 }, Preset::PerStage(["1000", "500", "1000", "2000"]);
        /// Whether spending near the budget raises an alert.
        cost_alerts_enabled: bool = "ATLAS_COST_ALERTS_ENABLED" | "COST_ALERTS_ENABLED", Rule::Bool, Preset::All("true");
    }
}

group! {
    /// How pages are fetched.
    Fetch {
        /// What the fetcher calls itself to servers.
        user_agent: String = "ATLAS_USER_AGENT", Rule::Text(256), Preset::All(concat!("Atlas/", env!("CARGO_PKG_VERSION"), " (+", env!("CARGO_PKG_REPOSITORY"), ")"));
        /// How long one fetch may take, redirects and body included.
        timeout: Duration = "ATLAS_FETCH_TIMEOUT", whole(100, 300_000, "ms"), Preset::All("30000");
        /// How large a body may be, in bytes after decompression.
        max_bytes: u64 = "ATLAS_FETCH_MAX_BYTES", whole(1024, 1024 * MIB, "bytes"), Preset::All("33554432");
        /// How many redirects are followed.
        max_redirects: u32 = "ATLAS_FETCH_MAX_REDIRECTS", whole(0, 20, "redirects"), Preset::All("10");
        /// Whether loopback addresses may be dialled; never in production.
        allow_loopback: bool = "ATLAS_EGRESS_ALLOW_LOOPBACK", Rule::Bool, Preset::All("false");
        /// Networks that may be dialled although they are not public.
        allowed_networks: Vec<IpNet> = "ATLAS_EGRESS_ALLOW", Rule::Networks, Preset::Absent;
        /// Networks that must not be dialled although they are public.
        denied_networks: Vec<IpNet> = "ATLAS_EGRESS_DENY", Rule::Networks, Preset::Absent;
    }
}

group! {
    /// What one extraction may take.
    Engine {
        /// How long one extraction may take.
        timeout: Duration = "ATLAS_EXTRACTION_TIMEOUT", whole(1000, 300_000, "ms"), Preset::All("120000");
        /// How many pages one extraction may read.
        max_pages: u32 = "ATLAS_MAX_PAGES", whole(1, 100, "pages"), Preset::All("10");
        /// How many links deep one extraction may follow.
        max_depth: u32 = "ATLAS_MAX_DEPTH", whole(1, 10, "links"), Preset::All("2");
        /// How many nodes, and apart from them attributes, a page may have.
        max_nodes: usize = "ATLAS_PAGE_MAX_NODES", whole(1000, 100_000_000, "nodes"), Preset::All("2000000");
        /// How deep the elements of a page may nest.
        max_nesting: usize = "ATLAS_PAGE_MAX_NESTING", whole(64, 65_536, "elements"), Preset::All("1024");
        /// How many attributes one element may have.
        max_attributes: usize = "ATLAS_PAGE_MAX_ATTRIBUTES", whole(64, 1_000_000, "attributes"), Preset::All("4096");
    }
}

group! {
    /// The job manager.
    Jobs {
        /// The database file; the stage's own name in the working directory if absent.
        database: Option<PathBuf> = "ATLAS_DATABASE", Rule::Text(4096), Preset::Absent;
        /// How many jobs one worker runs at once.
        concurrency: usize = "ATLAS_CONCURRENCY", whole(1, 1024, "jobs"), Preset::All("4");
        /// How long a worker owns a job without a sign of life.
        lease: Duration = "ATLAS_LEASE", whole(1000, 900_000, "ms"), Preset::All("30000");
        /// How often a failed job is tried again.
        retries: u32 = "ATLAS_RETRIES", whole(0, 20, "retries"), Preset::All("3");
        /// The pause before the first retry; each further one doubles it.
        retry_pause: Duration = "ATLAS_RETRY_PAUSE", whole(10, 3_600_000, "ms"), Preset::All("1000");
        /// The longest pause between retries.
        max_retry_pause: Duration = "ATLAS_MAX_RETRY_PAUSE", whole(10, 86_400_000, "ms"), Preset::All("60000");
    }
}

/// The stage has a row of its own: it decides the presets of all others.
pub(super) const STAGE: Field = Field {
    name: "ATLAS_STAGE",
    aliases: &["STAGE", "SERVERLESS_STAGE"],
    rule: Rule::OneOf(&["dev", "preview", "staging", "production"]),
    preset: Preset::All("dev"),
    required: None,
    doc: "Where this is deployed; decides presets, names and the environment.",
};

/// Every row.
pub(super) fn fields() -> impl Iterator<Item = &'static Field> {
    const GROUPS: [&[Field]; 6] =
        [Deployment::FIELDS, Service::FIELDS, Models::FIELDS, Fetch::FIELDS, Engine::FIELDS, Jobs::FIELDS];
    std::iter::once(&STAGE).chain(GROUPS.into_iter().flatten())
}
