//! Making a table, and telling whose it is.

use super::error::{BACKEND, broken, code, corrupt, failed};
use super::item::{META, MONTHS, OPEN, PK, Spread, number, number_of, text, text_of};
use crate::ledger::error::{Kind, LedgerError};
use atlas_schema::Stage;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableStatus,
};
use std::time::Duration;

/// The format of the items that this release writes.
const FORMAT: u8 = 1;
/// Over how many partitions the indexes of a new table are spread: a partition takes 1,000 writes a second (Amazon DynamoDB
/// Developer Guide, "Best practices for designing and using partition keys effectively"), and a hold writes about four.
const SPREAD: u8 = 4;

fn key(name: &str, kind: KeyType, operation: &'static str) -> Result<KeySchemaElement, LedgerError> {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(|_| broken(operation))
}

pub(super) async fn create(client: &Client, table: &str) -> Result<(), LedgerError> {
    const OPERATION: &str = "create_table";
    let mut create = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    create = create.key_schema(key(PK, KeyType::Hash, OPERATION)?);
    for name in [PK, OPEN.1, OPEN.2, MONTHS.1, MONTHS.2] {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        create = create.attribute_definitions(attribute.build().map_err(|_| broken(OPERATION))?);
    }
    for ((name, hash, range), projected) in [(OPEN, ProjectionType::KeysOnly), (MONTHS, ProjectionType::All)] {
        let index = GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(key(hash, KeyType::Hash, OPERATION)?)
            .key_schema(key(range, KeyType::Range, OPERATION)?)
            .projection(Projection::builder().projection_type(projected).build());
        create = create.global_secondary_indexes(index.build().map_err(|_| broken(OPERATION))?);
    }
    match create.send().await {
        Ok(_) => {}
        Err(error) if code(&error) == Some("ResourceInUseException") => {}
        Err(error) => return Err(failed(OPERATION, &error)),
    }
    for _ in 0..240 {
        let described = client.describe_table().table_name(table).send().await;
        let described = described.map_err(|error| failed(OPERATION, &error))?;
        if described.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Err(LedgerError::new(Kind::Unavailable, BACKEND, OPERATION).with_source("the table is not there after a minute"))
}

/// Reads what is pinned, or pins it; refuses the table of another stage or a newer release.
pub(super) async fn prepare(client: &Client, table: &str, stage: Stage) -> Result<Spread, LedgerError> {
    const OPERATION: &str = "open";
    // The second round reads what another process pinned first.
    for _ in 0..2 {
        if let Some(pinned) = pinned(client, table, stage, OPERATION).await? {
            return Ok(pinned);
        }
        let put = client.put_item().table_name(table).item(PK, text(META)).item("format", number(FORMAT));
        let put = put.item("stage", text(stage.as_str())).item("spread", number(SPREAD));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => return Ok(Spread(SPREAD)),
            Err(error) if code(&error) == Some("ConditionalCheckFailedException") => {}
            Err(error) => return Err(failed(OPERATION, &error)),
        }
    }
    Err(corrupt(OPERATION))
}

async fn pinned(
    client: &Client,
    table: &str,
    stage: Stage,
    operation: &'static str,
) -> Result<Option<Spread>, LedgerError> {
    let get = client.get_item().table_name(table).consistent_read(true).key(PK, text(META));
    let answer = get.send().await.map_err(|error| failed(operation, &error))?;
    let Some(item) = answer.item else { return Ok(None) };
    if number_of::<u64>(&item, "format", operation)? > u64::from(FORMAT) {
        return Err(LedgerError::new(Kind::NewerVersion, BACKEND, operation));
    }
    if text_of(&item, "stage", operation)? != stage.as_str() {
        return Err(LedgerError::new(Kind::WrongStage, BACKEND, operation));
    }
    match number_of(&item, "spread", operation)? {
        0 => Err(corrupt(operation)),
        spread => Ok(Some(Spread(spread))),
    }
}
