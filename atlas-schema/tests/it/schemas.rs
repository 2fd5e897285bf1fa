use atlas_schema::schema::published;
use std::path::Path;

#[test]
fn schema_files_equal_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    for one in published() {
        let (path, text) = (folder.join(format!("{}.json", one.name)), format!("{:#}\n", one.schema));
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is stale: run `UPDATE_SCHEMAS=1 cargo test -p atlas-schema schema_files`", one.name);
    }
}
