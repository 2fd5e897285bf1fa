//! Bylines: who wrote an article and when, as pages show it near the headline without a label.

use crate::support::{assert_proven, evidence, extract, json_ld};
use atlas_engine::types;
use atlas_schema::{ExtractionResult, Source};
use serde_json::json;

async fn article(html: &str) -> ExtractionResult {
    extract(html, types::by_name("article").unwrap()).await
}

#[tokio::test]
async fn the_author_and_the_day_stand_below_the_headline() {
    let shown = [
        "<p>By Ana Poe</p><p>12 May 2021</p>",
        "<p>By Ana Poe | 12 May 2021 | 3 comments</p>",
        "<div class='post-author'><img alt=''><a href='/ana'>Ana Poe</a></div><div>May 12, 2021</div>",
        "<p><a rel=author href='/ana'>Ana Poe</a> <time datetime='2021-05-12T08:00:00Z'>on Wednesday</time></p>",
    ];
    for byline in shown {
        let html = format!(
            "<html lang=en><title>Storks return - Valley News</title><p>1 January 2020: our anniversary</p>
             <h1>Storks return</h1>{byline}<p>They arrived early this year, and stayed until 3 June 2021.</p>"
        );
        let result = article(&html).await;
        assert_eq!(result.data[0]["authors"], json!(["Ana Poe"]), "{byline}");
        assert_eq!(result.data[0]["date_published"], "2021-05-12", "{byline}");
        assert_proven(&result);
    }
}

#[tokio::test]
async fn a_byline_in_another_language_is_read_and_a_day_of_change_is_not_the_day_of_publication() {
    let result = article(
        "<html lang=de><title>Störche sind da</title><h1>Störche sind da</h1>
         <p>Aktualisiert am 14. Mai 2021</p><p>Von Eva Köhler am 12. Mai 2021</p><p>Sie kamen früh.</p>",
    )
    .await;
    assert_eq!(result.data[0]["authors"], json!(["Eva Köhler"]));
    assert_eq!(result.data[0]["date_published"], "2021-05-12");
    assert_proven(&result);
}

#[tokio::test]
async fn prose_that_begins_like_a_byline_names_nobody() {
    for line in ["By then it was too late.", "By the river, in 1950", "From our archive"] {
        let result =
            article(&format!("<title>Storks</title><h1>Storks return</h1><p>{line}</p><p>They arrived early.</p>"))
                .await;
        assert!(result.data[0].get("authors").is_none(), "{line}: {:?}", result.data);
    }
}

#[tokio::test]
async fn the_site_and_addresses_are_no_authors_where_the_publisher_has_a_field() {
    let html = |author: &str| {
        format!(
            r#"<title>Storks</title><meta property="og:site_name" content="Valley News">
               <script type="application/ld+json">{{"@type": "NewsArticle", "headline": "Storks", "author": {author}}}</script>"#
        )
    };
    for author in [r#"{"@type": "Organization", "name": "Valley News"}"#, r#""https://social.example/valley""#] {
        let result = article(&html(author)).await;
        assert!(result.data[0].get("authors").is_none(), "{author}: {:?}", result.data);
    }
    let twice = r#"[{"@type": "Person", "name": "Ana Poe"}, {"@type": "Person", "name": "Ana Poe"}]"#;
    assert_eq!(article(&html(twice)).await.data[0]["authors"], json!(["Ana Poe"]));
    // A recipe type has no field for the publisher, and a maker of flour may well write recipes.
    let recipe = extract(
        &json_ld(r#"{"@type": "Recipe", "name": "Bread", "author": "Example"}"#),
        types::by_name("recipe").unwrap(),
    )
    .await;
    assert_eq!(recipe.data[0]["author"], "Example");
}

#[tokio::test]
async fn the_page_shows_the_site_as_author_and_names_nobody() {
    let result = article(
        "<title>Storks</title><meta property='og:site_name' content='Valley News'><h1>Storks</h1><p>By Valley News</p>",
    )
    .await;
    assert!(result.data[0].get("authors").is_none(), "{:?}", result.data);
}

#[tokio::test]
async fn the_pages_address_dates_an_article_that_shows_no_date() {
    let result = article(
        "<title>Storks</title><link rel=canonical href='https://example.com/2021/05/12/storks'><h1>Storks</h1><p>Text.</p>",
    )
    .await;
    assert_eq!(result.data[0]["date_published"], "2021-05-12");
    assert!(matches!(&evidence(&result, "/0/date_published")[0].source, Source::Attribute { name } if name == "href"));
    assert_proven(&result);
    let result = article(
        "<title>Storks</title><link rel=canonical href='https://example.com/2021/45/12/storks'><h1>Storks</h1><p>Text.</p>",
    )
    .await;
    assert!(result.data[0].get("date_published").is_none());
}

#[tokio::test]
async fn a_heading_that_is_the_sites_name_is_not_the_title() {
    let pages = [
        "<title>Storks return - Valley News</title><h1>Valley News</h1><h2>Storks return</h2><p>Text.</p>",
        "<title>Storks return</title><meta name=application-name content='Valley News'><h1>Valley News</h1><h1>Storks return</h1>",
    ];
    for html in pages {
        assert_eq!(article(html).await.data[0]["title"], "Storks return", "{html}");
    }
    // A title that ends in its own headline.
    let result = article("<title>Valley News - Storks return</title><h1>Storks return</h1><p>Text.</p>").await;
    assert_eq!(result.data[0]["title"], "Storks return");
}
