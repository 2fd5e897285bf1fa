//! Availability, booleans and addresses.

use atlas_engine::value::availability::{self, Availability};
use atlas_engine::value::{Locale, boolean, url};

fn locale(tag: &str) -> Locale {
    if tag.is_empty() { Locale::new() } else { Locale::new().with_language(tag) }
}

fn availability_of(text: &str) -> Option<(Availability, &str)> {
    availability::parse(text, &Locale::new()).map(|found| (found.value, &text[found.range]))
}

#[test]
fn schema_org_names_are_read_in_any_spelling() {
    for text in
        ["https://schema.org/InStock", "http://schema.org/InStock", "schema:InStock", "InStock", "instock", "in_stock"]
    {
        assert_eq!(availability_of(text).map(|(state, _)| state), Some(Availability::InStock), "{text:?}");
    }
    assert_eq!(availability_of("https://schema.org/PreOrder"), Some((Availability::PreOrder, "PreOrder")));
    assert_eq!(Availability::BackOrder.name(), "BackOrder");
}

#[test]
fn shops_phrases_are_read_in_many_languages() {
    use Availability::{InStock, OutOfStock, PreOrder, SoldOut};
    for (text, state) in [
        ("In stock", InStock),
        ("Currently not in stock.", OutOfStock),
        ("Out of stock", OutOfStock),
        ("Sofort lieferbar", InStock),
        ("Leider nicht lieferbar", OutOfStock),
        ("Nicht verfügbar", OutOfStock),
        ("Ausverkauft!", SoldOut),
        ("En stock", InStock),
        ("Rupture de stock", OutOfStock),
        ("Précommande", PreOrder),
        ("Producto no disponible", OutOfStock),
        ("Agotado", SoldOut),
        ("Non disponibile", OutOfStock),
        ("Disponibile", InStock),
        ("Esgotado", SoldOut),
        ("Indisponível", OutOfStock),
        ("Op voorraad", InStock),
        ("Niet op voorraad", OutOfStock),
        ("Finns i lager", InStock),
        ("Slut i lager", OutOfStock),
        ("Ikke på lager", OutOfStock),
        ("Udsolgt", SoldOut),
        ("Varastossa", InStock),
        ("Produkt niedostępny", OutOfStock),
        ("Skladem", InStock),
        ("Není skladem", OutOfStock),
        ("Есть в наличии", InStock),
        ("Нет в наличии", OutOfStock),
        ("Stokta yok", OutOfStock),
        ("Tükendi", SoldOut),
        ("在庫あり", InStock),
        ("在庫なし", OutOfStock),
        ("缺货", OutOfStock),
        ("품절", SoldOut),
        ("สินค้าหมด", OutOfStock),
    ] {
        assert_eq!(availability_of(text).map(|(state, _)| state), Some(state), "{text:?}");
    }
}

#[test]
fn the_quote_is_the_phrase() {
    assert_eq!(availability_of("Status: in stock, 3 left"), Some((Availability::InStock, "in stock")));
}

#[test]
fn contradictions_and_prose_give_no_state() {
    assert_eq!(availability_of("In stock online, sold out in our shops"), None);
    assert_eq!(availability_of("unstocked"), None);
    assert_eq!(availability_of(&"in stock ".repeat(100)), None);
}

#[test]
fn yes_and_no_follow_the_language() {
    for (tag, text, value) in [
        ("en", "Yes", true),
        ("en", "no", false),
        ("de", "Ja.", true),
        ("de", "Nein", false),
        ("fr", "Oui", true),
        ("es", "Sí", true),
        ("pt", "Não", false),
        ("pl", "Tak", true),
        ("cs", "ano", true),
        ("ru", "Да", true),
        ("tr", "Yok", false),
        ("ja", "はい", true),
        ("", "true", true),
        ("", "✗", false),
        ("fi", "on", true),
    ] {
        assert_eq!(boolean::parse(text, &locale(tag)).map(|found| found.value), Some(value), "{text:?} in {tag:?}");
    }
    assert_eq!(boolean::parse("Yes, we can", &locale("en")), None);
    assert_eq!(boolean::parse("", &locale("en")), None);
}

#[test]
fn addresses_resolve_and_only_web_ones_count() {
    let page = Locale::new().with_base("https://example.org/a/b?x=1".parse().unwrap());
    let read = |text: &str, locale: &Locale| url::parse(text, locale).map(|found| found.value.to_string());
    assert_eq!(read(" c.png ", &page).as_deref(), Some("https://example.org/a/c.png"));
    assert_eq!(read("//cdn.example.net/x", &page).as_deref(), Some("https://cdn.example.net/x"));
    assert_eq!(read("http://example.net", &Locale::new()).as_deref(), Some("http://example.net/"));
    for text in
        ["mailto:a@example.org", "javascript:alert(1)", "data:text/plain,x", "two words", "", "ftp://example.org/"]
    {
        assert_eq!(read(text, &page), None, "{text:?}");
    }
    assert_eq!(read("c.png", &Locale::new()), None);
}

#[test]
fn the_largest_picture_of_a_set_is_chosen() {
    let page = Locale::new().with_base("https://example.org/".parse().unwrap());
    let read = |text: &str| {
        url::parse_srcset(text, &page).map(|found| (found.value.to_string(), text[found.range].to_owned()))
    };
    let large = Some(("https://example.org/l.jpg".to_owned(), "l.jpg".to_owned()));
    assert_eq!(read("s.jpg 320w, l.jpg 1280w, m.jpg 640w"), large);
    assert_eq!(read("s.jpg, l.jpg 2x"), large);
    assert_eq!(read("l.jpg"), large);
    assert_eq!(read(" , "), None);
}
