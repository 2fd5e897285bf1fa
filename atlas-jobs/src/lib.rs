//! atlas-jobs
