//! A host that takes the packaged crates with their base features: no HTTP client, no database driver.

use atlas_config::egress::EgressPolicy;
use atlas_schema::{Stage, Usd};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stage: Stage = "dev".parse()?;
    let limit: Usd = "0.05".parse()?;
    let refused = EgressPolicy::default().check_host("169.254.169.254");
    println!("{stage} {limit} {}", refused.is_err());
    let _ = atlas_engine::Engine::builder();
    let _ = atlas_jobs::MemoryJobs::new(atlas_schema::Stage::Dev);
    Ok(())
}
