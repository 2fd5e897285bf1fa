//! Vocabulary: what a field may be called, where such facts stand in markup, and what labels them on a page.
//!
//! Property paths are schema.org's, meta names those of Open Graph, Twitter cards and Dublin Core. Labels are what pages
//! in some twenty languages write above or beside the value. No entry fits one site: a word is here because it is
//! ordinary in its language.

use std::collections::HashSet;
use std::sync::LazyLock;

/// One thing a field may want.
#[derive(Debug)]
pub(super) struct Concept {
    /// Field names, as blank-separated lower-case words.
    pub(super) names: &'static [&'static str],
    /// Property paths, the best first.
    pub(super) paths: &'static [&'static str],
    /// Names of meta elements, the best first; those with a leading dot are the document's own.
    pub(super) meta: &'static [&'static str],
    /// Labels, lower case, without closing punctuation.
    pub(super) labels: &'static [&'static str],
}

const fn concept(
    names: &'static [&'static str],
    paths: &'static [&'static str],
    meta: &'static [&'static str],
    labels: &'static [&'static str],
) -> Concept {
    Concept { names, paths, meta, labels }
}

/// The concept that a field's name stands for, given as lower-case words.
pub(super) fn concept_of(words: &[String]) -> Option<&'static Concept> {
    let name = words.join(" ");
    CONCEPTS.iter().find(|concept| concept.names.contains(&name.as_str()))
}

/// Whether the folded `text` labels anything known: where one label's list ends, another's begins.
pub(super) fn is_label(text: &str) -> bool {
    static LABELS: LazyLock<HashSet<String>> =
        LazyLock::new(|| folded_set(CONCEPTS.iter().flat_map(|concept| concept.labels)));
    LABELS.contains(text)
}

fn folded_set<'a>(words: impl IntoIterator<Item = &'a &'static str>) -> HashSet<String> {
    words.into_iter().map(|word| crate::evidence::folded(word)).collect()
}

/// Whether the folded `text` labels what follows a list and is not part of it: remarks, nutrition, comments.
pub(super) fn ends_lists(text: &str) -> bool {
    static LABELS: LazyLock<HashSet<String>> = LazyLock::new(|| folded_set(AFTER_LISTS));
    LABELS.contains(text)
}

#[rustfmt::skip]
const AFTER_LISTS: &[&str] = &[
    "nutrition", "nutrition facts", "nutritional info", "nutritional information", "notes", "note", "recipe notes", "tip", "tips", "variations",
    "equipment", "print recipe", "comments", "reviews", "video", "keywords", "storage", "nährwerte", "nährwert", "nährwerte pro portion", "tipp", "tipps",
    "hinweis", "hinweise", "notizen", "kommentare", "conseils", "astuces", "commentaires", "notas", "consejos", "comentarios", "dicas", "consigli",
    "commenti", "opmerkingen", "voedingswaarde", "voedingswaarden", "reacties", "næringsindhold", "kommentarer", "wskazówki", "komentarze", "poznámka",
    "sugerencia", "sugerencias", "trucos", "allergens", "valeurs nutritionnelles", "información nutricional",
    "valori nutrizionali", "leave a reply", "leave a comment", "related recipes", "gerelateerde recepten", "ähnliche rezepte", "share this recipe",
];

/// Parts of class and id names that say a part of the page lists ingredients.
pub(super) const MARKS_INGREDIENTS: &[&str] =
    &["ingredient", "ingrédient", "ingredienser", "ingredienti", "ingrediente", "zutat", "skladnik", "suroviny"];

/// Parts of class and id names that say a part of the page lists steps.
pub(super) const MARKS_STEPS: &[&str] = &[
    "instruction",
    "direction",
    "preparation",
    "method",
    "steps",
    "zubereitung",
    "etapes",
    "fremgang",
    "procedimento",
    "bereiding",
    "preparo",
    "postup",
];

/// Types of which another is a sort: `(sort, of)`. Names that end alike (`NewsArticle`) need no entry.
pub(super) const SORTS: &[(&str, &str)] = &[
    ("BlogPosting", "Article"),
    ("Report", "Article"),
    ("SocialMediaPosting", "Article"),
    ("LiveBlogPosting", "Article"),
    ("Book", "Product"),
    ("Car", "Product"),
    ("Drug", "Product"),
    ("IndividualProduct", "Product"),
    ("ProductModel", "Product"),
    ("SomeProducts", "Product"),
    ("Vehicle", "Product"),
    ("SoftwareApplication", "Product"),
    ("Restaurant", "LocalBusiness"),
    ("Store", "LocalBusiness"),
    ("Hotel", "LocalBusiness"),
    ("LocalBusiness", "Organization"),
    ("Corporation", "Organization"),
];

#[rustfmt::skip]
const CONCEPTS: &[Concept] = &[
    concept(&["title", "name", "headline"], &["name", "headline", "title"],
        &["og:title", "twitter:title", "dc.title", "dcterms.title", ".h1", ".title"], &["title", "name", "titel", "titre", "título", "titolo"]),
    concept(&["description", "summary", "abstract", "excerpt", "teaser"], &["description", "abstract"],
        &["og:description", "description", "twitter:description", "dc.description", "dcterms.description"],
        &["description", "beschreibung", "descripción", "descrizione", "beschrijving", "descrição"]),
    concept(&["author", "authors", "byline", "writer", "creator", "by"], &["author.name", "author", "creator.name", "creator"],
        &["author", "article:author", "dc.creator", "dcterms.creator", "parsely-author", "sailthru.author"],
        &["author", "by", "written by", "autor", "autorin", "von", "auteur", "autore", "recipe by", "rezept von"]),
    concept(&["image", "image url", "photo", "picture", "thumbnail", "images", "image urls"],
        &["image.url", "image.contentUrl", "image", "thumbnailUrl", "thumbnail.url"],
        &["og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src"], &[]),
    concept(&["url", "link", "page url"], &["url", "mainEntityOfPage"], &["og:url", ".canonical"], &[]),
    concept(&["canonical url", "canonical"], &[], &[".canonical", "og:url"], &[]),
    concept(&["site name", "site", "website"], &[], &["og:site_name", "application-name"], &[]),
    concept(&["language", "lang", "locale", "in language"], &[], &[".lang", "content-language", "og:locale", "dc.language"], &[]),
    concept(&["date published", "published", "published at", "publication date", "publish date", "published date", "published on", "date", "pub date", "release date"],
        &["datePublished", "dateCreated", "uploadDate", "releaseDate", "pubdate"],
        &["article:published_time", "og:published_time", "datepublished", "date", "dc.date", "dc.date.issued", "dcterms.date", "dcterms.created", "pubdate", "publishdate", "parsely-pub-date", "sailthru.date", "publication_date"],
        &["published", "date", "posted on", "veröffentlicht", "datum", "publié le", "fecha", "data"]),
    concept(&["date modified", "modified", "updated", "updated at", "modified at", "last modified", "last updated"],
        &["dateModified"], &["article:modified_time", "og:updated_time", "dcterms.modified", "last-modified"],
        &["updated", "last updated", "aktualisiert", "mis à jour", "actualizado"]),
    concept(&["keywords", "tags", "topics"], &["keywords"], &["keywords", "news_keywords", "article:tag"],
        &["keywords", "tags", "keyword", "schlagwörter", "schlagworte", "mots-clés", "palabras clave", "trefwoorden"]),
    concept(&["category", "categories", "section", "genre", "genres", "course"], &["recipeCategory", "category", "articleSection", "genre"],
        &["article:section"], &["category", "course", "kategorie", "catégorie", "categoría", "categoria", "categorie", "gang", "kategori", "menugang"]),
    concept(&["body", "text", "content", "article body"], &["articleBody", "text", "reviewBody"], &[], &[]),
    concept(&["publisher"], &["publisher.name", "publisher"], &["article:publisher", "dc.publisher", "og:site_name"], &["publisher", "verlag", "éditeur", "editorial"]),
    // Products.
    concept(&["price", "current price", "sale price", "amount", "cost", "low price"],
        &["offers.price", "offers.lowPrice", "offers.priceSpecification.price", "price", "lowPrice", "priceSpecification.price"],
        &["product:price:amount", "og:price:amount", "product:sale_price:amount", "twitter:data1"],
        &["price", "our price", "preis", "prix", "precio", "prezzo", "prijs", "preço", "pris", "cena", "hinta", "ár", "fiyat", "цена", "价格", "価格"]),
    concept(&["high price", "max price"], &["offers.highPrice", "highPrice"], &[], &[]),
    concept(&["currency", "price currency", "currency code"],
        &["offers.priceCurrency", "offers.priceSpecification.priceCurrency", "priceCurrency", "priceSpecification.priceCurrency"],
        &["product:price:currency", "og:price:currency"], &["currency", "währung", "devise", "moneda", "valuta", "price", "our price", "preis", "prix", "precio", "prezzo", "prijs", "preço", "pris", "cena", "hinta", "ár", "fiyat", "цена", "价格", "価格"]),
    concept(&["availability", "stock", "in stock", "stock status"], &["offers.availability", "availability"],
        &["product:availability", "og:availability"],
        &["availability", "stock", "verfügbarkeit", "lieferbarkeit", "disponibilité", "disponibilidad", "disponibilità", "beschikbaarheid", "disponibilidade"]),
    concept(&["condition", "item condition"], &["offers.itemCondition", "itemCondition"], &["product:condition"], &["condition", "zustand", "état", "estado", "condizione"]),
    concept(&["brand", "manufacturer", "make"], &["brand.name", "brand", "manufacturer.name", "manufacturer"], &["product:brand", "og:brand"],
        &["brand", "manufacturer", "marke", "hersteller", "marque", "fabricant", "marca", "merk", "fabrikant", "produttore", "varumärke", "märke", "značka", "marka"]),
    concept(&["sku", "product id", "article number", "item number", "part number"], &["sku", "productID", "mpn"], &["product:retailer_item_id"],
        &["sku", "article number", "item number", "artikelnummer", "art.-nr.", "art.-nr", "référence", "referencia", "codice articolo", "artikelnr", "artikelnr."]),
    concept(&["gtin", "ean", "barcode", "upc"], &["gtin13", "gtin", "gtin14", "gtin12", "gtin8", "ean"], &["product:ean", "product:upc"], &["gtin", "ean", "ean-code", "upc", "barcode"]),
    concept(&["mpn"], &["mpn"], &["product:mfr_part_no"], &["mpn", "manufacturer part number", "herstellernummer"]),
    concept(&["isbn"], &["isbn", "gtin13"], &["books:isbn", "book:isbn"], &["isbn", "isbn-13", "isbn-10", "isbn13"]),
    concept(&["color", "colour"], &["color"], &["product:color"], &["color", "colour", "farbe", "couleur", "colore", "kleur", "cor", "färg", "farve"]),
    concept(&["material"], &["material"], &["product:material"], &["material", "matière", "matériau", "materiale", "materiaal"]),
    concept(&["weight"], &["weight", "weight.value"], &["product:weight:value"], &["weight", "gewicht", "poids", "peso", "vikt", "vægt"]),
    concept(&["seller", "vendor", "shop"], &["offers.seller.name", "seller.name", "offers.seller", "seller"], &[], &["seller", "sold by", "verkäufer", "vendeur", "vendedor", "venditore"]),
    // Ratings.
    concept(&["rating", "rating value", "average rating", "stars", "score", "ratings"], &["aggregateRating.ratingValue", "ratingValue", "reviewRating.ratingValue", "starRating.ratingValue"],
        &["og:rating", "product:rating:average"], &["rating", "bewertung", "note", "valoración", "valutazione", "beoordeling"]),
    concept(&["rating count", "ratings count", "number of ratings", "votes"], &["aggregateRating.ratingCount", "aggregateRating.reviewCount", "ratingCount", "reviewCount"],
        &["og:rating_count", "product:rating:count"], &["ratings", "votes", "bewertungen"]),
    concept(&["review count", "reviews count", "number of reviews", "reviews"], &["aggregateRating.reviewCount", "aggregateRating.ratingCount", "reviewCount", "ratingCount"], &[], &["reviews", "rezensionen", "avis", "reseñas"]),
    concept(&["best rating"], &["aggregateRating.bestRating", "bestRating"], &[], &[]),
    // Recipes.
    concept(&["ingredients", "ingredient", "recipe ingredient", "recipe ingredients"], &["recipeIngredient", "ingredients", "ingredient", "supply"], &[],
        &["ingredients", "ingredient list", "ingredients list", "you will need", "you'll need", "what you need", "what you'll need", "shopping list", "zutaten", "zutatenliste", "für den einkauf", "ingrédients", "les ingrédients", "ingredientes", "ingredienti", "ingrediënten", "ingrediënten lijst", "benodigdheden", "ingredienser", "ingredienser til", "składniki", "suroviny", "ingrediencie", "suroviny a ingredience", "ainekset", "ainesosat", "hozzávalók", "malzemeler", "ингредиенты", "інгредієнти", "съставки", "продукти", "υλικά", "συστατικά", "sastojci", "sestavine", "sastojci za", "材料", "原料", "用料", "食材", "재료", "المكونات", "מצרכים", "nguyên liệu", "bahan", "bahan-bahan", "ingredients for", "koostisosad", "sastāvdaļas", "ingredientai", "ingrediente"]),
    concept(&["instructions", "instruction", "directions", "steps", "method", "preparation", "recipe instructions", "instructions list"],
        &["recipeInstructions", "instructions", "step"], &[],
        &["instructions", "directions", "method", "preparation", "steps", "how to make", "how to make it", "preparation method", "step by step", "step-by-step", "cooking instructions", "recipe steps", "to make", "what to do", "zubereitung", "anleitung", "so geht's", "so wird's gemacht", "arbeitsschritte", "zubereitungsschritte", "préparation", "la préparation", "les étapes", "étapes", "instructions de préparation", "preparación", "elaboración", "instrucciones", "pasos", "modo de preparo", "modo de preparação", "preparação", "modo de preparar", "preparazione", "procedimento", "come preparare", "bereiding", "bereiden", "voorbereiden", "bereidingswijze", "werkwijze", "aan de slag", "zo maak je het", "fremgangsmåde", "sådan gør du", "framgangsmåte", "slik gjør du", "gör så här", "instruktioner", "tillagning", "przygotowanie", "sposób przygotowania", "sposób wykonania", "wykonanie", "postup", "postup přípravy", "příprava", "postup prípravy", "valmistus", "valmistusohje", "ohje", "elkészítés", "elkészítése", "hazırlanışı", "yapılışı", "приготовление", "способ приготовления", "приготування", "приготвяне", "начин на приготвяне", "εκτέλεση", "οδηγίες", "priprema", "postupak", "priprava", "作り方", "做法", "步骤", "制作步骤", "만드는 법", "조리순서", "طريقة التحضير", "אופן ההכנה", "cách làm", "cara membuat", "valmistamine", "pagatavošana", "gaminimas", "mod de preparare"]),
    concept(&["total time", "time", "ready in", "total duration", "total"], &["totalTime", "performTime", "duration"], &[],
        &["total time", "total", "ready in", "time", "gesamtzeit", "gesamt", "zubereitungszeit gesamt", "temps total", "tiempo total", "tempo total", "tempo totale", "totale tijd", "totaaltijd", "tid i alt", "total tid", "samlet tid", "tid", "totaltid", "łączny czas", "celkový čas", "toplam süre", "kokonaisaika", "teljes idő", "общее время", "合計時間", "arbejdstid i alt", "tempo di preparazione totale", "ukupno vrijeme", "zeit", "dauer", "durée", "duración", "durata", "tijd", "celková doba", "doba přípravy"]),
    concept(&["prep time", "preparation time", "active time", "prep"], &["prepTime"], &[],
        &["prep time", "prep", "preparation time", "preparation", "active time", "hands-on time", "hands-on", "arbeitszeit", "vorbereitungszeit", "vorbereitung", "zubereitungszeit", "temps de préparation", "préparation", "tiempo de preparación", "preparación", "tempo de preparo", "tempo de preparação", "tempo di preparazione", "preparazione", "voorbereidingstijd", "voorbereiding", "bereidingstijd", "forberedelsestid", "forberedelse", "arbejdstid", "förberedelsetid", "czas przygotowania", "doba přípravy", "čas přípravy", "hazırlama süresi", "hazırlık süresi", "время подготовки", "vrijeme pripreme"]),
    concept(&["cook time", "cooking time", "cook", "bake time"], &["cookTime"], &[],
        &["cook time", "cook", "cooking time", "cooking", "bake time", "baking time", "kochzeit", "backzeit", "koch-/backzeit", "kochen", "garzeit", "temps de cuisson", "cuisson", "tiempo de cocción", "cocción", "tempo de cozimento", "tempo de cozedura", "tempo di cottura", "cottura", "kooktijd", "baktijd", "oventijd", "tilberedningstid", "bagetid", "stegetid", "koketid", "steketid", "tillagningstid", "czas gotowania", "doba pečení", "doba vaření", "pişirme süresi", "время приготовления", "vrijeme kuhanja"]),
    concept(&["yields", "yield", "servings", "serves", "portions", "recipe yield", "makes"], &["recipeYield", "yield", "servings"], &[],
        &["yield", "yields", "serves", "servings", "serving", "makes", "portions", "portion", "serving size", "ergibt", "portionen", "portion(en)", "personen", "für", "menge", "pour", "personnes", "nombre de personnes", "parts", "raciones", "porciones", "comensales", "personas", "rinde", "rendimento", "porções", "porzioni", "dosi per", "persone", "aantal personen", "porties", "portioner", "personer", "antal", "antal personer", "antall porsjoner", "porsjoner", "porcje", "liczba porcji", "porce", "počet porcí", "porcie", "annosta", "annokset", "adag", "porsiyon", "kişilik", "порции", "порций", "количество порций", "分量", "人数", "porcija"]),
    concept(&["cuisine", "cuisines", "recipe cuisine"], &["recipeCuisine", "servesCuisine"], &[],
        &["cuisine", "küche", "landesküche", "cocina", "cucina", "keuken", "culinária"]),
    concept(&["cooking method", "cook method"], &["cookingMethod"], &[], &["cooking method", "method of cooking", "kochmethode"]),
    concept(&["nutrients", "nutrition", "nutritional information", "nutrition facts"], &["nutrition"], &[], &[]),
    concept(&["calories", "energy", "kcal"], &["nutrition.calories", "calories"], &[], &["calories", "kalorien", "brennwert", "energie", "calorías", "calorie", "energia", "energi"]),
    concept(&["diet", "diets", "dietary restrictions", "suitable for diet"], &["suitableForDiet"], &[], &["diet", "diets", "ernährung", "régime", "dieta", "dieet"]),
    // Events, places, jobs.
    concept(&["start date", "starts", "start", "begins", "start time"], &["startDate"], &["event:start_time"], &["start", "starts", "beginn", "début", "inicio", "inizio", "when", "wann"]),
    concept(&["end date", "ends", "end", "end time"], &["endDate", "validThrough"], &["event:end_time"], &["end", "ends", "ende", "fin", "fine"]),
    concept(&["location", "venue", "place", "where"], &["location.name", "location", "jobLocation.address.addressLocality"], &[], &["location", "venue", "where", "ort", "veranstaltungsort", "lieu", "lugar", "luogo", "locatie"]),
    concept(&["address", "street address"], &["address.streetAddress", "address", "location.address.streetAddress", "location.address"], &["og:street-address", "business:contact_data:street_address"], &["address", "adresse", "anschrift", "dirección", "indirizzo", "adres", "endereço"]),
    concept(&["city", "locality"], &["address.addressLocality", "location.address.addressLocality", "jobLocation.address.addressLocality"], &["og:locality", "business:contact_data:locality"], &["city", "stadt", "ville", "ciudad", "città"]),
    concept(&["postal code", "zip", "zip code", "postcode"], &["address.postalCode", "location.address.postalCode"], &["og:postal-code"], &["postal code", "zip", "plz", "code postal"]),
    concept(&["country"], &["address.addressCountry", "address.addressCountry.name", "location.address.addressCountry"], &["og:country-name"], &["country", "land", "pays", "país", "paese"]),
    concept(&["phone", "telephone", "phone number", "tel"], &["telephone", "contactPoint.telephone"], &["og:phone_number", "business:contact_data:phone_number"], &["phone", "telephone", "tel", "tel.", "telefon", "téléphone", "teléfono", "telefono", "telefoon"]),
    concept(&["email", "e mail", "mail"], &["email", "contactPoint.email"], &["og:email"], &["email", "e-mail", "mail", "correo"]),
    concept(&["company", "employer", "hiring organization", "organization", "organizer"], &["hiringOrganization.name", "hiringOrganization", "organizer.name", "worksFor.name"], &[], &["company", "employer", "unternehmen", "arbeitgeber", "firma", "entreprise", "empresa", "azienda"]),
    concept(&["duration", "runtime", "length", "running time"], &["duration", "timeRequired"], &["video:duration"], &["duration", "runtime", "dauer", "laufzeit", "länge", "durée", "duración", "durata", "duur"]),
    concept(&["pages", "number of pages", "page count"], &["numberOfPages"], &[], &["pages", "number of pages", "seiten", "seitenzahl", "páginas", "pagine"]),
    concept(&["id", "identifier"], &["identifier.value", "identifier", "sku", "productID"], &[], &["id", "identifier", "kennung"]),
];
