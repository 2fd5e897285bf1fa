//! Rules between settings: what may not stand together, and what follows from what.

use super::{
    reader::Reader,
    table::{Deployment, Engine, Environment, Fetch, Jobs, ModelStrategy, Models, Service},
};
use crate::names::{Resource, ResourceNames};
use atlas_schema::Stage;
use url::Url;

/// Keys that stand in examples and tests everywhere, compared without case, dashes and underscores.
const PLACEHOLDERS: &[&str] =
    &["test", "testkey", "testapikey", "changeme", "secret", "password", "devkey", "example", "masterapikey"];
/// The predecessor's limit; real keys are several times as long.
const MIN_PROVIDER_KEY: usize = 10;
/// OWASP ASVS asks for 64 bits of entropy at least; 16 characters of a key hold that.
const MIN_MASTER_KEY: usize = 16;

/// The environment that a stage decides. `NODE_ENV=test` marks an automated test of stage `dev`.
pub(super) fn environment(reader: &mut Reader<'_>, deployment: &Deployment) -> Environment {
    let decided = match reader.stage {
        Stage::Dev | Stage::Preview => Environment::Development,
        Stage::Staging | Stage::Production => Environment::Production,
    };
    let stated = deployment.node_env.unwrap_or(decided);
    let agrees = stated == decided || (stated == Environment::Test && reader.stage == Stage::Dev);
    reader.require(
        agrees,
        &["ATLAS_NODE_ENV", "ATLAS_STAGE"],
        "contradicts ATLAS_STAGE, which decides the environment; remove it",
    );
    stated
}

/// What is given by hand wins over what the stage presets; two things given by hand must agree.
pub(super) fn models(reader: &mut Reader<'_>, models: &mut Models) {
    const FORCE: &str = "ATLAS_FORCE_GPT4";
    const ENABLED: &str = "ATLAS_GPT5_ENABLED";
    const STRATEGY: &str = "ATLAS_DEFAULT_MODEL_STRATEGY";
    let (force_given, enabled_given, strategy_given) =
        (reader.is_given(FORCE), reader.is_given(ENABLED), reader.is_given(STRATEGY));
    let forced = force_given && models.force_gpt4;
    let enabled = enabled_given && models.gpt5_enabled;
    let disabled = enabled_given && !models.gpt5_enabled;
    let preview = strategy_given && models.strategy == ModelStrategy::Gpt5Preview;
    let no_both = "cannot be true together with ATLAS_GPT5_ENABLED; set one";
    reader.require(!(forced && enabled), &[FORCE, ENABLED], no_both);
    let not_forced = "cannot be gpt5_preview while ATLAS_FORCE_GPT4 is true";
    reader.require(!(preview && forced), &[STRATEGY, FORCE], not_forced);
    let not_disabled = "cannot be gpt5_preview while ATLAS_GPT5_ENABLED is false";
    reader.require(!(preview && disabled), &[STRATEGY, ENABLED], not_disabled);
    if !enabled_given {
        models.gpt5_enabled = if forced { false } else { preview || models.gpt5_enabled };
    }
    if !force_given && (enabled || preview) {
        models.force_gpt4 = false;
    }
    if !strategy_given {
        if models.force_gpt4 || !models.gpt5_enabled {
            models.strategy = ModelStrategy::Gpt4Stable;
        } else if enabled {
            models.strategy = ModelStrategy::Auto;
        }
    }
}

pub(super) fn limits(reader: &mut Reader<'_>, deployment: &Deployment, fetch: &Fetch, engine: &Engine, jobs: &Jobs) {
    reader.require(
        deployment.worker_timeout < deployment.lambda_timeout,
        &["ATLAS_WORKER_TIMEOUT", "ATLAS_LAMBDA_TIMEOUT"],
        "must be less than ATLAS_LAMBDA_TIMEOUT, or the platform stops the worker before it can save its work",
    );
    reader.require(
        fetch.timeout <= engine.timeout,
        &["ATLAS_FETCH_TIMEOUT", "ATLAS_EXTRACTION_TIMEOUT"],
        "must not be more than ATLAS_EXTRACTION_TIMEOUT",
    );
    reader.require(
        jobs.retry_pause <= jobs.max_retry_pause,
        &["ATLAS_RETRY_PAUSE", "ATLAS_MAX_RETRY_PAUSE"],
        "must not be more than ATLAS_MAX_RETRY_PAUSE",
    );
}

pub(super) fn production(reader: &mut Reader<'_>, service: &Service, models: &Models, fetch: &Fetch) {
    if !matches!(reader.stage, Stage::Staging | Stage::Production) {
        return;
    }
    let master = service
        .master_api_key
        .as_ref()
        .is_none_or(|key| !is_placeholder(key.expose()) && key.expose().len() >= MIN_MASTER_KEY);
    let rule = "must be a real key of at least 16 bytes in staging and production, not one from an example or a test";
    reader.require(master, &["ATLAS_MASTER_API_KEY"], rule);
    let provider = models
        .openai_api_key
        .as_ref()
        .is_none_or(|key| !is_placeholder(key.expose()) && key.expose().len() >= MIN_PROVIDER_KEY);
    let rule = "must be a real key of at least 10 bytes in staging and production, not one from an example or a test";
    reader.require(provider, &["ATLAS_OPENAI_API_KEY"], rule);
    let rule = "must be false in staging and production";
    reader.require(!fetch.allow_loopback, &["ATLAS_EGRESS_ALLOW_LOOPBACK"], rule);
}

fn is_placeholder(key: &str) -> bool {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    PLACEHOLDERS.contains(&plain.as_str()) || plain.starts_with("test") || plain.starts_with("sktest")
}

/// Every resource that a setting points at must be this stage's own.
pub(super) fn isolation(reader: &mut Reader<'_>, deployment: &Deployment) {
    let names = ResourceNames::of(reader.stage);
    let is = |text: &str, resource| names.parse(text).is_ok_and(|name| name == names.name(resource));
    let bucket = deployment.artifacts_bucket.as_ref().is_none_or(|text| is(text, Resource::ArtifactsBucket));
    let table = deployment.connections_table.as_ref().is_none_or(|text| is(text, Resource::ConnectionsTable));
    let queue =
        deployment.queue_url.as_ref().is_none_or(|url| is(segments(url).last().unwrap_or_default(), Resource::Queue));
    let rule = "must be this stage's own, atlas-codex-artifacts-STAGE";
    reader.require(bucket, &["ATLAS_ARTIFACTS_BUCKET", "ATLAS_STAGE"], rule);
    let rule = "must be this stage's own, atlas-codex-connections-STAGE";
    reader.require(table, &["ATLAS_CONNECTIONS_TABLE", "ATLAS_STAGE"], rule);
    let rule = "must end in this stage's own queue, atlas-codex-queue-STAGE";
    reader.require(queue, &["ATLAS_QUEUE_URL", "ATLAS_STAGE"], rule);
    let other_stage = deployment.websocket_endpoint.as_ref().is_some_and(|url| {
        segments(url).filter_map(|segment| segment.parse::<Stage>().ok()).any(|stage| stage != reader.stage)
    });
    let rule = "must not point at another stage";
    reader.require(!other_stage, &["ATLAS_WEBSOCKET_API_ENDPOINT", "ATLAS_STAGE"], rule);
    // https://sqs.REGION.amazonaws.com/ACCOUNT/NAME
    let Some(queue) = &deployment.queue_url else { return };
    let account = segments(queue).next().filter(|text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()));
    let own = deployment.account_id.as_deref().zip(account).is_none_or(|(own, other)| own == other);
    let rule = "must be a queue of ATLAS_AWS_ACCOUNT_ID";
    reader.require(own, &["ATLAS_QUEUE_URL", "ATLAS_AWS_ACCOUNT_ID"], rule);
    let region = queue.host_str().and_then(|host| host.strip_prefix("sqs.")?.strip_suffix(".amazonaws.com"));
    let rule = "must be a queue in ATLAS_AWS_REGION";
    reader.require(
        region.is_none_or(|region| region == deployment.region),
        &["ATLAS_QUEUE_URL", "ATLAS_AWS_REGION"],
        rule,
    );
}

fn segments(url: &Url) -> impl DoubleEndedIterator<Item = &str> {
    url.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty())
}
