//! Documents in files, below folders the host allows.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use url::Url;

use super::{Document, FetchError, FetchRequest, Fetcher, Kind};

/// Reads `file:` addresses below the folders it was given, and nothing else.
///
/// The path is resolved first, links and `..` included, and what it resolves to must lie below an allowed folder. Only
/// regular files are read, never devices, pipes or folders.
#[derive(Debug, Clone)]
pub struct FileFetcher {
    roots: Vec<PathBuf>,
}

impl FileFetcher {
    /// A fetcher for the files below these folders (or for single files).
    ///
    /// # Errors
    /// If one of them does not exist or can't be looked at.
    pub fn new<P: AsRef<Path>>(roots: impl IntoIterator<Item = P>) -> io::Result<Self> {
        let roots = roots.into_iter().map(|root| root.as_ref().canonicalize()).collect::<io::Result<_>>()?;
        Ok(Self { roots })
    }

    /// Blocking part of a fetch.
    fn read(&self, request: &FetchRequest) -> Result<Document, FetchError> {
        let fail = |kind| FetchError::new(kind, &request.url);
        let path = (request.url.scheme() == "file")
            .then(|| request.url.to_file_path().ok())
            .flatten()
            .ok_or_else(|| fail(Kind::Unsupported).with_advice("give a file: address of this machine"))?;
        let path = path.canonicalize().map_err(|error| explain(error, &request.url))?;
        if !self.roots.iter().any(|root| path.starts_with(root)) {
            return Err(fail(Kind::Forbidden).with_advice("allow the folder when the fetcher is made"));
        }
        // Looked at before opening: opening a pipe would wait for a writer, opening a device may do anything.
        let metadata = path.metadata().map_err(|error| explain(error, &request.url))?;
        if !metadata.is_file() {
            return Err(fail(Kind::Unsupported).with_advice("give a regular file, not a folder, pipe or device"));
        }
        let too_large = || fail(Kind::TooLarge).with_advice("raise the size limit of the request");
        let limit = request.max_bytes as u64;
        if metadata.len() > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        // The file may have grown since, or be one whose size is not known beforehand.
        std::fs::File::open(&path)
            .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
            .map_err(|error| explain(error, &request.url))?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        let document = Document::new(request.url.clone(), bytes);
        let is = |wanted: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
        Ok(if is("html") || is("htm") || is("xhtml") { document.with_content_type("text/html") } else { document })
    }
}

fn explain(error: io::Error, url: &Url) -> FetchError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Kind::NotFound,
        io::ErrorKind::PermissionDenied => Kind::Denied,
        _ => Kind::Io,
    };
    let failure = FetchError::new(kind, url).with_source(error);
    match kind {
        Kind::NotFound => failure.with_advice("check the path"),
        Kind::Denied => failure.with_advice("make the file readable for this user"),
        _ => failure,
    }
}

#[async_trait]
impl Fetcher for FileFetcher {
    async fn fetch(&self, request: &FetchRequest) -> Result<Document, FetchError> {
        let (this, request) = (self.clone(), request.clone());
        let url = request.url.clone();
        tokio::task::spawn_blocking(move || this.read(&request))
            .await
            .map_err(|error| FetchError::new(Kind::Io, &url).with_source(error))?
    }
}
