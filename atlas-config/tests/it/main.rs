//! Integration tests: the public API only.

mod egress;
