//! The promises of atlas-jobs, through its public API.

mod stores;
