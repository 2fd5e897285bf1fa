//! If a thing can be bought.

use super::fold::{self, Folded, is_word};
use super::{Found, Locale};
use std::ops::Range;
use std::sync::LazyLock;

/// The states that schema.org's `ItemAvailability` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Availability {
    /// Can be had at once.
    InStock,
    /// Can not be had for now.
    OutOfStock,
    /// Few are left.
    LimitedAvailability,
    /// Ordered before it comes out.
    PreOrder,
    /// Sold before general sale.
    PreSale,
    /// Ordered until it is there again.
    BackOrder,
    /// Made when ordered.
    MadeToOrder,
    /// Sold over the network only.
    OnlineOnly,
    /// Sold in shops only.
    InStoreOnly,
    /// Will not be had again.
    Discontinued,
    /// All are gone.
    SoldOut,
    /// Kept for somebody.
    Reserved,
}

use Availability::{
    BackOrder, Discontinued, InStock, InStoreOnly, LimitedAvailability, MadeToOrder, OnlineOnly, OutOfStock, PreOrder,
    PreSale, Reserved, SoldOut,
};

const ALL: [(Availability, &str); 12] = [
    (InStock, "InStock"),
    (OutOfStock, "OutOfStock"),
    (LimitedAvailability, "LimitedAvailability"),
    (PreOrder, "PreOrder"),
    (PreSale, "PreSale"),
    (BackOrder, "BackOrder"),
    (MadeToOrder, "MadeToOrder"),
    (OnlineOnly, "OnlineOnly"),
    (InStoreOnly, "InStoreOnly"),
    (Discontinued, "Discontinued"),
    (SoldOut, "SoldOut"),
    (Reserved, "Reserved"),
];

impl Availability {
    /// The name that schema.org gives it, such as `InStock`.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }
}

/// A text longer than this is prose about a thing, not a note of its state.
const MAX_CHARS: usize = 400;

/// The state that the text names: a schema.org address or name, Open Graph's words, or a shop's phrase in one of some twenty
/// languages.
///
/// Longer phrases win over shorter ones inside them (`not in stock`). A text that names contradicting states (`in stock
/// online, sold out in shops`) gives none.
pub fn parse(text: &str, _locale: &Locale) -> Option<Found<Availability>> {
    if text.len() > 4 * MAX_CHARS || text.chars().count() > MAX_CHARS {
        return None;
    }
    let folded = Folded::new(text)?;
    if let Some(found) = name(&folded) {
        return Some(found);
    }
    let mut hits: Vec<(Range<usize>, Availability)> = Vec::new();
    for (state, phrase) in FOLDED.iter() {
        hits.extend(places(&folded.text, phrase).map(|range| (range, *state)));
    }
    let inside = |inner: &Range<usize>, outer: &Range<usize>| {
        outer.start <= inner.start && inner.end <= outer.end && outer.len() > inner.len()
    };
    let mut widest = hits.iter().filter(|(range, _)| !hits.iter().any(|(other, _)| inside(range, other)));
    let (range, state) = widest.next()?;
    let first = widest.clone().fold(range, |first, (range, _)| if range.start < first.start { range } else { first });
    widest.all(|(_, other)| other == state).then(|| Found { value: *state, range: folded.source_range(first.clone()) })
}

/// `https://schema.org/InStock`, `schema:InStock`, `InStock`, `in_stock`.
fn name(folded: &Folded<'_>) -> Option<Found<Availability>> {
    let inner = folded.trimmed();
    let whole = folded.text.get(inner.clone())?;
    let start = whole.rfind(['/', ':', '#']).map_or(0, |sign| sign + 1);
    let key: String = whole.get(start..)?.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect();
    let state = ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(&key))?.0;
    Some(Found { value: state, range: folded.source_range(inner.start + start..inner.end) })
}

/// Where the phrase stands as words of its own.
fn places<'a>(text: &'a str, phrase: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    text.match_indices(phrase).map(|(start, hit)| start..start + hit.len()).filter(|range| {
        let starts = phrase.chars().next().is_some_and(is_word) && fold::before(text, range.start).is_some_and(is_word);
        let ends = phrase.chars().next_back().is_some_and(is_word) && fold::at(text, range.end).is_some_and(is_word);
        !starts && !ends
    })
}

static FOLDED: LazyLock<Vec<(Availability, String)>> = LazyLock::new(|| {
    let phrases = |(state, list): &(Availability, &'static str)| {
        let state = *state;
        list.split('|').map(move |phrase| (state, fold::fold(phrase))).collect::<Vec<_>>()
    };
    PHRASES.iter().flat_map(phrases).collect()
});

/// Phrases, `|` between them, accents as one likes.
const PHRASES: &[(Availability, &str)] = &[
    (InStock, "in stock|instock|available|available now|available for order|ready to ship|ships today|ships within"),
    (
        OutOfStock,
        "out of stock|outofstock|oos|not in stock|not available|unavailable|currently unavailable|no longer in stock|temporarily out of stock|no stock",
    ),
    (SoldOut, "sold out|soldout"),
    (PreOrder, "pre-order|preorder|pre order|available for pre-order|available for preorder|available to pre-order"),
    (BackOrder, "backorder|back-order|back order|on backorder|available on backorder"),
    (
        LimitedAvailability,
        "limited availability|limited stock|low stock|only a few left|few left in stock|almost sold out",
    ),
    (Discontinued, "discontinued|no longer available"),
    (MadeToOrder, "made to order"),
    (OnlineOnly, "online only"),
    (InStoreOnly, "in store only|in-store only"),
    (
        InStock,
        "auf lager|lieferbar|sofort lieferbar|verfugbar|vorratig|am lager|sofort verfugbar|lagernd|versandfertig",
    ),
    (
        OutOfStock,
        "nicht auf lager|nicht lieferbar|nicht verfugbar|nicht vorratig|derzeit nicht verfugbar|momentan nicht verfugbar|zur zeit nicht lieferbar|nicht mehr auf lager|nicht mehr vorratig|nicht lagernd|vergriffen",
    ),
    (SoldOut, "ausverkauft"),
    (PreOrder, "vorbestellbar|vorbestellen|vorbestellung"),
    (LimitedAvailability, "nur noch wenige|wenige verfugbar|geringer bestand"),
    (Discontinued, "nicht mehr lieferbar|nicht mehr verfugbar"),
    (InStock, "en stock|disponible|disponible immediatement"),
    (
        OutOfStock,
        "rupture de stock|en rupture de stock|en rupture|non disponible|pas disponible|indisponible|pas en stock|plus en stock|hors stock",
    ),
    (SoldOut, "epuise|epuisee|victime de son succes"),
    (PreOrder, "precommande|en precommande|pre-commande"),
    (Discontinued, "plus disponible|n'est plus disponible"),
    (InStock, "en existencia|hay existencias|en existencias|disponible en stock"),
    (
        OutOfStock,
        "no disponible|sin existencias|sin stock|fuera de stock|no hay existencias|no hay stock|actualmente no disponible",
    ),
    (SoldOut, "agotado|agotada"),
    (PreOrder, "preventa|reserva anticipada|preordenar"),
    (LimitedAvailability, "ultimas unidades|pocas unidades"),
    (InStock, "disponibile|disponibilita immediata|in magazzino|disponibilita: in stock"),
    (OutOfStock, "non disponibile|non piu disponibile|attualmente non disponibile|non in stock"),
    (SoldOut, "esaurito|esaurita"),
    (PreOrder, "preordine|in preordine|prenotabile"),
    (InStock, "em estoque|em stock|disponivel|pronta entrega"),
    (OutOfStock, "fora de estoque|sem estoque|sem stock|indisponivel|nao disponivel|produto indisponivel"),
    (SoldOut, "esgotado|esgotada"),
    (PreOrder, "pre-venda|pre-encomenda"),
    (InStock, "op voorraad|leverbaar|beschikbaar|direct leverbaar"),
    (
        OutOfStock,
        "niet op voorraad|niet leverbaar|niet beschikbaar|tijdelijk niet beschikbaar|momenteel niet op voorraad",
    ),
    (SoldOut, "uitverkocht"),
    (InStock, "i lager|finns i lager|pa lager|pa lagret"),
    (
        OutOfStock,
        "slut i lager|ej i lager|inte i lager|finns inte i lager|ikke pa lager|ikke pa lageret|tillfalligt slut",
    ),
    (SoldOut, "slutsåld|udsolgt|utsolgt|utsalt"),
    (PreOrder, "forhandsboka|forudbestil|forhandsbestill"),
    (InStock, "varastossa|heti saatavilla|saatavilla"),
    (OutOfStock, "ei varastossa|loppu varastosta|ei saatavilla|tilapaisesti loppu"),
    (SoldOut, "loppuunmyyty"),
    (InStock, "dostepny|dostepne|dostepna|na stanie|w magazynie"),
    (
        OutOfStock,
        "niedostepny|niedostepne|niedostepna|brak w magazynie|brak na stanie|chwilowo niedostepny|produkt niedostepny",
    ),
    (SoldOut, "wyprzedane|wyprzedany"),
    (PreOrder, "przedsprzedaz"),
    (InStock, "skladem|na skladě|k dispozici"),
    (OutOfStock, "neni skladem|nie je skladom|nedostupne|nedostupny|momentalne nedostupne|docasne nedostupne"),
    (SoldOut, "vyprodano|vypredane"),
    (PreOrder, "predobjednavka|predprodej"),
    (InStock, "raktaron|keszleten|elerheto"),
    (OutOfStock, "nincs raktaron|nincs keszleten|nem elerheto|elfogyott"),
    (InStock, "in stoc|disponibil"),
    (OutOfStock, "stoc epuizat|nu este in stoc|indisponibil"),
    (InStock, "в наличии|есть в наличии|є в наявності|в наявності|на складе|в наличност"),
    (OutOfStock, "нет в наличии|отсутствует|нет на складе|немає в наявності|недоступен|няма в наличност"),
    (SoldOut, "распродано|продано|закончился"),
    (PreOrder, "предзаказ|под предзаказ"),
    (MadeToOrder, "под заказ"),
    (InStock, "διαθεσιμο|σε αποθεμα|αμεσα διαθεσιμο"),
    (OutOfStock, "μη διαθεσιμο|εξαντληθηκε|εξαντλημενο"),
    (InStock, "stokta var|stokta|stokta mevcut|stokta bulunmaktadır"),
    (OutOfStock, "stokta yok|stokta bulunmamaktadır|stok yok|temin edilemiyor"),
    (SoldOut, "tukendi"),
    (InStock, "在庫あり|在庫有り|有货|現貨|现货|有現貨|有貨|재고 있음|재고있음|구매 가능"),
    (OutOfStock, "在庫なし|在庫無し|在庫切れ|入荷待ち|缺货|无货|缺貨|無貨|暂时无货|재고 없음|재고없음|일시품절"),
    (SoldOut, "品切れ|売り切れ|完売|售罄|售完|품절"),
    (PreOrder, "予約受付中|予約商品|预售|預購|예약판매"),
    (InStock, "متوفر|متوفر في المخزون|במלאי|זמין במלאי|con hang|tersedia|พร้อมส่ง|มีสินค้า"),
    (OutOfStock, "غير متوفر|غير متوفر في المخزون|אזל מהמלאי|לא במלאי|het hang|tidak tersedia|stok habis|สินค้าหมด"),
];
