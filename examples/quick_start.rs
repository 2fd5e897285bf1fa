//! The quick start of the README: a page becomes a typed value in which every field has its quote.

use atlas_engine::{Engine, fetch::MemoryFetcher, types::Recipe};
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any `Fetcher` serves: files, HTTP (feature `http-fetcher`), your own. This one holds its page in memory.
    let page = "<h1>Lentil soup</h1><p>Serves: 4</p><h2>Ingredients</h2><ul><li>250 g red lentils<li>1 onion</ul>";
    let pages = MemoryFetcher::new().with_page("https://example.org/soup".parse()?, page);
    let engine = Engine::builder().fetcher(Arc::new(pages)).build()?;

    let soup = engine.extract_as::<Recipe>("https://example.org/soup").await?;
    let recipe = soup.first().ok_or("no recipe on the page")?;
    println!("{:?}: {:?}", recipe.title, recipe.ingredients);
    for (pointer, evidence) in &soup.result.evidence {
        println!("{pointer} because the page says {:?}", evidence[0].quote);
    }
    Ok(())
}
