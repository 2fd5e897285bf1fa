//! Legacy records become jobs, or are quarantined with a reason.
