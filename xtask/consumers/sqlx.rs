//! A host that uses sqlx 0.9 with SQLite beside the embedded store.

fn main() {
    let _ = std::any::type_name::<sqlx::SqlitePool>();
    let _ = std::any::type_name::<atlas_jobs::SqliteJobs>();
    let _ = atlas_engine::Engine::builder();
    let _ = atlas_schema::Stage::Dev;
    let _ = atlas_config::egress::EgressPolicy::default();
}
