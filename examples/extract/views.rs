//! The source pages for the report: parsed again from the same bytes that the values were read from.

use crate::fetch::Pages;
use crate::outcome::Done;
use crate::report::View;
use crate::source::{Place, hex};
use atlas_engine::fetch::Document;
use atlas_engine::page::ParseOptions;
use sha2::{Digest, Sha256};

/// One view per page, in order.
pub(crate) fn all(done: &[Done], pages: &Pages) -> Vec<View> {
    done.iter().map(|page| view(page, pages)).collect()
}

fn view(done: &Done, pages: &Pages) -> View {
    let Some(info) = done.data().and_then(|result| result.pages.first()) else {
        return Err("there is no source to show".into());
    };
    let document = match &done.source.place {
        Place::File { path, url, sha256, .. } => {
            let bytes = std::fs::read(path).map_err(|_| "the file is not there any more".to_owned())?;
            if *sha256 != hex(&Sha256::digest(&bytes)) {
                return Err("the file has changed since it was read: run again".into());
            }
            Document::new(url.clone(), bytes)
        }
        Place::Web { .. } => pages.kept(&info.url).ok_or(
            "this page was fetched by an earlier run, which kept its quotes only: --fresh fetches it again to show it",
        )?,
        Place::Unusable { .. } => return Err("there is no source to show".into()),
    };
    document.to_page(&ParseOptions::default()).map_err(|error| error.to_string())
}
