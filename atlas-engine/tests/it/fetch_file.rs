//! The file fetcher reads regular files below its folders, and nothing else.

use std::path::Path;

use atlas_engine::fetch::{Document, FetchError, FetchRequest, Fetcher, FileFetcher, Kind};
use atlas_engine::page::ParseOptions;
use url::Url;

async fn fetch(root: &Path, path: &Path) -> Result<Document, FetchError> {
    let fetcher = FileFetcher::new([root]).unwrap();
    fetcher.fetch(&FetchRequest::new(Url::from_file_path(path).unwrap()).with_max_bytes(1_000)).await
}

async fn kind(root: &Path, path: &Path) -> Kind {
    fetch(root, path).await.unwrap_err().kind()
}

#[tokio::test]
async fn files_below_a_root_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a page.HTML");
    std::fs::write(&path, "<h1>Tea").unwrap();
    let document = fetch(folder.path(), &path).await.unwrap();
    assert_eq!(document.media_type.as_deref(), Some("text/html"));
    assert_eq!(document.to_page(&ParseOptions::default()).unwrap().text(), "Tea");
    assert_eq!(fetch(&path, &path).await.unwrap().bytes, "<h1>Tea", "a root may be the file itself");
}

#[tokio::test]
async fn nothing_outside_the_roots_is_read() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = outside.path().join("secret.html");
    std::fs::write(&secret, "secret").unwrap();
    assert_eq!(kind(inside.path(), &secret).await, Kind::Forbidden);
    let name = outside.path().file_name().unwrap();
    let dotted: Url =
        format!("{}/../{}/secret.html", Url::from_file_path(inside.path()).unwrap(), name.to_str().unwrap())
            .parse()
            .unwrap();
    let fetcher = FileFetcher::new([inside.path()]).unwrap();
    assert_eq!(fetcher.fetch(&FetchRequest::new(dotted)).await.unwrap_err().kind(), Kind::Forbidden);
    // A sibling whose name merely starts like the root.
    let sibling = inside.path().with_extension("x");
    std::fs::create_dir(&sibling).unwrap();
    std::fs::write(sibling.join("a"), "a").unwrap();
    let result = kind(inside.path(), &sibling.join("a")).await;
    std::fs::remove_dir_all(&sibling).unwrap();
    assert_eq!(result, Kind::Forbidden);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_out_of_the_root_is_refused_and_one_within_is_followed() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::fs::write(inside.path().join("plain"), "plain").unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), inside.path().join("out")).unwrap();
    std::os::unix::fs::symlink(inside.path().join("plain"), inside.path().join("in")).unwrap();
    assert_eq!(kind(inside.path(), &inside.path().join("out")).await, Kind::Forbidden);
    assert_eq!(fetch(inside.path(), &inside.path().join("in")).await.unwrap().bytes, "plain");
}

#[tokio::test]
async fn folders_missing_files_and_large_files_have_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("large"), vec![b'a'; 1_001]).unwrap();
    assert_eq!(kind(folder.path(), folder.path()).await, Kind::Unsupported);
    assert_eq!(kind(folder.path(), &folder.path().join("missing")).await, Kind::NotFound);
    assert_eq!(kind(folder.path(), &folder.path().join("large/below")).await, Kind::NotFound);
    assert_eq!(kind(folder.path(), &folder.path().join("large")).await, Kind::TooLarge);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn devices_and_pipes_are_not_opened() {
    assert_eq!(kind(Path::new("/dev"), Path::new("/dev/zero")).await, Kind::Unsupported);
    // A socket stands for all that is no regular file: opening a pipe would wait for a writer for ever.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(kind(folder.path(), &socket).await, Kind::Unsupported);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_whose_size_is_not_known_beforehand_is_bounded_all_the_same() {
    let fetcher = FileFetcher::new(["/proc/self"]).unwrap();
    let request = FetchRequest::new(Url::from_file_path("/proc/self/status").unwrap()).with_max_bytes(16);
    assert_eq!(fetcher.fetch(&request).await.unwrap_err().kind(), Kind::TooLarge);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_without_permission_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locked");
    std::fs::write(&path, "x").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    match fetch(folder.path(), &path).await {
        Err(error) => {
            assert_eq!(error.kind(), Kind::Denied);
            assert!(error.to_string().ends_with("(make the file readable for this user)"));
        }
        // The superuser may read every file, so there is nothing to refuse.
        Ok(document) => assert_eq!(document.bytes, "x"),
    }
}

#[tokio::test]
async fn other_addresses_are_not_served() {
    let fetcher = FileFetcher::new([std::env::temp_dir()]).unwrap();
    for text in ["http://a.example/", "file://server/share/a.html", "data:text/html,x"] {
        let error = fetcher.fetch(&FetchRequest::new(text.parse().unwrap())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{text}");
    }
}
