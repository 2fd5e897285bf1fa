//! A host that turns every feature on.

fn main() {
    println!("{} hostile forms", atlas_config::egress::hostile::URLS.len());
    let _ = atlas_schema::Stage::Dev;
    let _ = atlas_engine::Engine::builder();
    let _ = atlas_jobs::MemoryJobs::new(atlas_schema::Stage::Dev);
}
