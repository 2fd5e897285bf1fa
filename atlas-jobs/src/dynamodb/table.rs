//! Making a table, and telling whose it is.

use super::error::{BACKEND, code, corrupt, failed, is_refused};
use super::item::{Reader, Shards, keyed, number, text};
use super::keys::{self, Key};
use super::options::DynamoOptions;
use crate::error::{Kind, StoreError};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableStatus,
};
use std::time::Duration;

/// The format of the items that this release reads and writes. Format 1, whose leases and events were items of their own, was
/// never released.
const FORMAT: u64 = 2;

/// Makes the table for development and tests, and waits until it is there. A table of that name is left as it is.
///
/// A deployment declares the same in its template: the string keys `pk` (hash) and `sk` (range); the global secondary
/// indexes `atlas-1` (`g1p`, `g1s`) and `atlas-2` (`g2p`, `g2s`), strings too, each projecting `KEYS_ONLY`; on-demand
/// billing; no stream and no time to live.
///
/// # Errors
/// As [`DynamoJobs::open`](super::DynamoJobs::open), and [`Kind::Unavailable`] if the table is not there within a
/// minute.
pub async fn create_table(client: &Client, table: &str) -> Result<(), StoreError> {
    let operation = "create_table";
    let broken = |_| corrupt(operation, "the table's definition could not be built");
    let mut create = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for (hash, range, index) in [
        (keys::PK, keys::SK, None),
        (keys::G1P, keys::G1S, Some(keys::INDEX_1)),
        (keys::G2P, keys::G2S, Some(keys::INDEX_2)),
    ] {
        let mut schema = Vec::new();
        for (name, kind) in [(hash, KeyType::Hash), (range, KeyType::Range)] {
            let string = ScalarAttributeType::S;
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(string).build();
            create = create.attribute_definitions(attribute.map_err(broken)?);
            schema.push(KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(broken)?);
        }
        create = match index {
            None => create.set_key_schema(Some(schema)),
            Some(index) => {
                let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
                let index = GlobalSecondaryIndex::builder().index_name(index).set_key_schema(Some(schema));
                create.global_secondary_indexes(index.projection(keys_only).build().map_err(broken)?)
            }
        };
    }
    match create.send().await {
        Ok(_) => {}
        Err(error) if code(&error) == Some("ResourceInUseException") => {}
        Err(error) => return Err(failed(operation, &error)),
    }
    for _ in 0..240 {
        let answer =
            client.describe_table().table_name(table).send().await.map_err(|error| failed(operation, &error))?;
        if answer.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Err(StoreError::new(Kind::Unavailable, BACKEND, operation))
}

/// Reads what is pinned, or pins it; refuses the table of another stage or a newer release.
pub(super) async fn prepare(client: &Client, options: &DynamoOptions) -> Result<Shards, StoreError> {
    let wanted = Shards { ready: options.queue_shards, spread: options.spread, lanes: options.lanes };
    // The second round reads what another process pinned first.
    for _ in 0..2 {
        if let Some(pinned) = pinned(client, options).await? {
            return Ok(pinned);
        }
        let mut item = keyed(keys::meta());
        item.insert("format".into(), number(FORMAT));
        item.insert("stage".into(), text(options.stage.as_str()));
        item.insert("ready".into(), number(wanted.ready));
        item.insert("spread".into(), number(wanted.spread));
        item.insert("lanes".into(), number(wanted.lanes));
        let put = client.put_item().table_name(&options.table).set_item(Some(item));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => return Ok(wanted),
            Err(error) if is_refused(&error) => {}
            Err(error) => return Err(failed("open", &error)),
        }
    }
    Err(corrupt("open", "the table's own item comes and goes"))
}

async fn pinned(client: &Client, options: &DynamoOptions) -> Result<Option<Shards>, StoreError> {
    let key: Key = keys::meta();
    let get = client.get_item().table_name(&options.table).consistent_read(true);
    let get = get.key(keys::PK, text(key.0)).key(keys::SK, text(key.1));
    let answer = get.send().await.map_err(|error| failed("open", &error))?;
    let Some(item) = answer.item else { return Ok(None) };
    let reader = Reader::new(&item, "open");
    if reader.number::<u64>("format")? > FORMAT {
        return Err(StoreError::new(Kind::NewerVersion, BACKEND, "open"));
    }
    if reader.number::<u64>("format")? < FORMAT {
        return Err(corrupt("open", "the table is of a build that was never released: make a new one"));
    }
    if reader.text("stage")? != options.stage.as_str() {
        return Err(StoreError::new(Kind::WrongStage, BACKEND, "open"));
    }
    let shards =
        Shards { ready: reader.number("ready")?, spread: reader.number("spread")?, lanes: reader.number("lanes")? };
    Ok(Some(shards))
}
