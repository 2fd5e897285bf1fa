//! Names of months by language.

use super::lexicon::{Lexicon, Row};
use std::sync::LazyLock;

/// Month names and their usual short forms, nominative and genitive where they differ. Names come from Unicode CLDR.
pub(super) static MONTHS: LazyLock<Lexicon<i8>> = LazyLock::new(|| {
    let rows: Vec<Row<i8>> = NAMES
        .iter()
        .flat_map(|(language, months)| {
            (1_i8..).zip(months.split(' ')).map(move |(month, words)| (*language, month, words))
        })
        .collect();
    Lexicon::new(&rows)
});

/// For each language its twelve months in order, with blanks between them and `|` between the forms of one.
const NAMES: &[(&str, &str)] = &[
    (
        "en",
        "january|jan february|feb march|mar april|apr may june|jun july|jul august|aug september|sep|sept october|oct \
         november|nov december|dec",
    ),
    (
        "de",
        "januar|jan|jänner|jaenner|jän februar|feb|feber märz|maerz|mär|mrz april|apr mai juni|jun juli|jul august|aug \
         september|sep|sept oktober|okt november|nov dezember|dez",
    ),
    (
        "fr",
        "janvier|janv février|févr|fév mars avril|avr mai juin juillet|juil août septembre|sept octobre|oct novembre|nov \
         décembre|déc",
    ),
    (
        "es",
        "enero|ene febrero|feb marzo|mar abril|abr mayo|may junio|jun julio|jul agosto|ago septiembre|setiembre|sep|sept|set \
         octubre|oct noviembre|nov diciembre|dic",
    ),
    (
        "it",
        "gennaio|gen febbraio|feb marzo|mar aprile|apr maggio|mag giugno|giu luglio|lug agosto|ago settembre|set|sett \
         ottobre|ott novembre|nov dicembre|dic",
    ),
    (
        "pt",
        "janeiro|jan fevereiro|fev março|mar abril|abr maio|mai junho|jun julho|jul agosto|ago setembro|set outubro|out \
         novembro|nov dezembro|dez",
    ),
    (
        "nl",
        "januari|jan februari|feb maart|mrt april|apr mei juni|jun juli|jul augustus|aug september|sep|sept oktober|okt \
         november|nov december|dec",
    ),
    (
        "sv",
        "januari|jan februari|feb mars april|apr maj juni|jun juli|jul augusti|aug september|sep|sept oktober|okt november|nov \
         december|dec",
    ),
    (
        "da",
        "januar|jan februar|feb marts|mar april|apr maj juni|jun juli|jul august|aug september|sep|sept oktober|okt \
         november|nov december|dec",
    ),
    (
        "no",
        "januar|jan februar|feb mars|mar april|apr mai juni|jun juli|jul august|aug september|sep|sept oktober|okt \
         november|nov desember|des",
    ),
    (
        "fi",
        "tammikuuta|tammikuu|tammi helmikuuta|helmikuu|helmi maaliskuuta|maaliskuu|maalis huhtikuuta|huhtikuu|huhti \
         toukokuuta|toukokuu|touko kesäkuuta|kesäkuu|kesä heinäkuuta|heinäkuu|heinä elokuuta|elokuu|elo syyskuuta|syyskuu|syys \
         lokakuuta|lokakuu|loka marraskuuta|marraskuu|marras joulukuuta|joulukuu|joulu",
    ),
    ("is", "janúar febrúar mars apríl maí júní júlí ágúst september október nóvember desember"),
    (
        "pl",
        "stycznia|styczeń|sty lutego|luty|lut marca|marzec|mar kwietnia|kwiecień|kwi maja|maj czerwca|czerwiec|cze \
         lipca|lipiec|lip sierpnia|sierpień|sie września|wrzesień|wrz października|październik|paź listopada|listopad|lis \
         grudnia|grudzień|gru",
    ),
    (
        "cs",
        "ledna|leden února|únor března|březen dubna|duben května|květen června|červen července|červenec srpna|srpen \
         září října|říjen listopadu|listopad prosince|prosinec",
    ),
    (
        "sk",
        "januára|január februára|február marca|marec apríla|apríl mája|máj júna|jún júla|júl augusta|august \
         septembra|september októbra|október novembra|november decembra|december",
    ),
    (
        "sl",
        "januarja|januar februarja|februar marca|marec aprila|april maja|maj junija|junij julija|julij avgusta|avgust \
         septembra|september oktobra|oktober novembra|november decembra|december",
    ),
    (
        "hr",
        "siječnja|siječanj veljače|veljača ožujka|ožujak travnja|travanj svibnja|svibanj lipnja|lipanj srpnja|srpanj \
         kolovoza|kolovoz rujna|rujan listopada|listopad studenoga|studeni|studenog prosinca|prosinac",
    ),
    (
        "hu",
        "január|jan február|febr március|márc április|ápr május|máj június|jún július|júl augusztus|aug szeptember|szept \
         október|okt november|nov december|dec",
    ),
    (
        "ro",
        "ianuarie|ian februarie|feb martie|mar aprilie|apr mai iunie|iun iulie|iul august|aug septembrie|sept|sep \
         octombrie|oct noiembrie|nov decembrie|dec",
    ),
    (
        "ru",
        "января|январь|янв февраля|февраль|фев|февр марта|март|мар апреля|апрель|апр мая|май июня|июнь|июн июля|июль|июл \
         августа|август|авг сентября|сентябрь|сен|сент октября|октябрь|окт ноября|ноябрь|ноя|нояб декабря|декабрь|дек",
    ),
    (
        "uk",
        "січня|січень|січ лютого|лютий|лют березня|березень|бер квітня|квітень|кві травня|травень|тра червня|червень|чер \
         липня|липень|лип серпня|серпень|сер вересня|вересень|вер жовтня|жовтень|жов листопада|листопад|лис грудня|грудень|гру",
    ),
    (
        "bg",
        "януари|яну февруари|фев март април|апр май юни юли август|авг септември|сеп октомври|окт ноември|ное декември|дек",
    ),
    (
        "el",
        "ιανουαρίου|ιανουάριος|ιαν φεβρουαρίου|φεβρουάριος|φεβ μαρτίου|μάρτιος|μαρ απριλίου|απρίλιος|απρ μαΐου|μάιος|μαι \
         ιουνίου|ιούνιος|ιουν ιουλίου|ιούλιος|ιουλ αυγούστου|αύγουστος|αυγ σεπτεμβρίου|σεπτέμβριος|σεπ οκτωβρίου|οκτώβριος|οκτ \
         νοεμβρίου|νοέμβριος|νοε δεκεμβρίου|δεκέμβριος|δεκ",
    ),
    (
        "tr",
        "ocak|oca şubat|şub mart|mar nisan|nis mayıs|may haziran|haz temmuz|tem ağustos|ağu eylül|eyl ekim|eki kasım|kas \
         aralık|ara",
    ),
    ("ca", "gener febrer març abril maig juny juliol agost setembre octubre novembre desembre"),
    (
        "et",
        "jaanuar|jaan veebruar|veebr märts aprill mai juuni juuli august september oktoober november|nov detsember|dets",
    ),
    ("lt", "sausio vasario kovo balandžio gegužės birželio liepos rugpjūčio rugsėjo spalio lapkričio gruodžio"),
    (
        "lv",
        "janvāris|janvārī februāris marts aprīlis maijs jūnijs jūlijs augusts septembris oktobris novembris decembris",
    ),
    (
        "id",
        "januari|jan februari|feb maret|mar april|apr mei juni|jun juli|jul agustus|agu september|sep oktober|okt november|nov \
         desember|des",
    ),
    ("ar", "يناير فبراير مارس أبريل|ابريل مايو يونيو يوليو أغسطس|اغسطس سبتمبر أكتوبر|اكتوبر نوفمبر ديسمبر"),
    (
        "he",
        "ינואר|בינואר פברואר|בפברואר מרץ|במרץ אפריל|באפריל מאי|במאי יוני|ביוני יולי|ביולי אוגוסט|באוגוסט ספטמבר|בספטמבר \
         אוקטובר|באוקטובר נובמבר|בנובמבר דצמבר|בדצמבר",
    ),
    (
        "th",
        "มกราคม|ม.ค กุมภาพันธ์|ก.พ มีนาคม|มี.ค เมษายน|เม.ย พฤษภาคม|พ.ค มิถุนายน|มิ.ย กรกฎาคม|ก.ค สิงหาคม|ส.ค กันยายน|ก.ย \
         ตุลาคม|ต.ค พฤศจิกายน|พ.ย ธันวาคม|ธ.ค",
    ),
];
