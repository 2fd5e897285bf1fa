//! The JSON Schemas (draft 2020-12), generated from the types.
