//! Real servers for tests and measurements: started on demand, in a temporary folder, stopped with the process.
//!
//! | Server | Started by | A running one instead |
//! |---|---|---|
//! | PostgreSQL | [`postgres::shared`], [`postgres::Server::start`] | `ATLAS_TEST_POSTGRES`: a connection string |
//! | DynamoDB | [`dynamo::shared`], [`dynamo::Server::start`] | `ATLAS_TEST_DYNAMODB`: an address such as `http://127.0.0.1:8000` |
//! | a model | [`model::shared`], [`model::Server::start`] | `ATLAS_TEST_MODEL_SERVER`: an address, and `ATLAS_TEST_MODEL_KEY` |
//!
//! Tests that need one stand within a macro such as [`with_postgres!`], which shows one ignored test in their place where
//! the server is missing: they are never reported as passed. `cargo xtask test` installs what is missing.

// A helper of tests says what is wrong by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

pub mod dynamo;
pub mod dynamo_program;
pub mod model;
pub mod model_program;
pub mod postgres;
pub mod tools;

/// Items that need PostgreSQL; one ignored test in their place where it is not installed.
#[cfg(has_postgres)]
#[macro_export]
macro_rules! with_postgres {
    ($($item:item)*) => { $($item)* };
}

/// Items that need PostgreSQL; one ignored test in their place where it is not installed.
#[cfg(not(has_postgres))]
#[macro_export]
macro_rules! with_postgres {
    ($($item:item)*) => {
        #[test]
        #[ignore = "PostgreSQL is not installed: `cargo xtask test` installs it, or name a server in ATLAS_TEST_POSTGRES"]
        fn postgres_is_missing() {}
    };
}

/// Items that need a server of DynamoDB; one ignored test in their place where there is none.
#[cfg(has_dynamodb)]
#[macro_export]
macro_rules! with_dynamodb {
    ($($item:item)*) => { $($item)* };
}

/// Items that need a server of DynamoDB; one ignored test in their place where there is none.
#[cfg(not(has_dynamodb))]
#[macro_export]
macro_rules! with_dynamodb {
    ($($item:item)*) => {
        #[test]
        #[ignore = "there is no server of DynamoDB: `cargo xtask test` builds one, or name one in ATLAS_TEST_DYNAMODB"]
        fn dynamodb_is_missing() {}
    };
}

/// Items that need a real model; one ignored test in their place where there is none.
#[cfg(has_model_server)]
#[macro_export]
macro_rules! with_model_server {
    ($($item:item)*) => { $($item)* };
}

/// Items that need a real model; one ignored test in their place where there is none.
#[cfg(not(has_model_server))]
#[macro_export]
macro_rules! with_model_server {
    ($($item:item)*) => {
        #[test]
        #[ignore = "there is no model server: `cargo xtask test` fetches one, or name one in ATLAS_TEST_MODEL_SERVER"]
        fn model_server_is_missing() {}
    };
}
