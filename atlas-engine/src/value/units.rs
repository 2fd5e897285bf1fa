//! Words for units of time, by language.

use super::lexicon::Lexicon;
use std::sync::LazyLock;

/// Seconds of one unit; 0 for months and years, whose length depends on where they start.
pub(super) type Seconds = u64;

/// Stands for units without a fixed length.
pub(super) const UNFIXED: Seconds = 0;
pub(super) const MINUTE: Seconds = 60;
pub(super) const HOUR: Seconds = 3_600;
pub(super) const DAY: Seconds = 86_400;
const WEEK: Seconds = 604_800;

pub(super) static UNITS: LazyLock<Lexicon<Seconds>> = LazyLock::new(|| {
    Lexicon::new(&[
        ("", 1, "s|sec|secs|second|seconds|sek|sekunde|sekunden|seg|segundo|segundos|seconde|secondes|secondi|secondo"),
        (
            "",
            1,
            "sekund|sekunder|sekunda|sekundy|sekúnd|sekunti|sekuntia|seconden|secunde|saniye|sn|másodperc|δευτερόλεπτα",
        ),
        ("", 1, "секунд|секунды|секунда|сек|секунди|秒|초|วินาที|giây|detik|ثانية|שניות"),
        (
            "",
            MINUTE,
            "min|mins|minute|minutes|minuten|mn|minuto|minutos|minuti|minuut|minuter|minutter|minut|minuta|minuty",
        ),
        (
            "",
            MINUTE,
            "minútur|minuuttia|minuutti|minúty|minút|minutu|minuta|minute|minuta|perc|percig|dakika|dk|dak|λεπτά|λεπτό",
        ),
        (
            "",
            MINUTE,
            "мин|минут|минуты|минута|минути|хв|хвилин|хвилини|分|分钟|分鐘|分間|분|นาที|phút|menit|minit|دقيقة|دقائق|דקות|דק|דקה",
        ),
        ("", MINUTE, "minutit|minūtes|minučių|min.|mín|मिनट"),
        ("=en", MINUTE, "m"),
        ("=sv", MINUTE, "m"),
        ("", HOUR, "h|hr|hrs|hour|hours|std|stunde|stunden|heure|heures|hora|horas|ora|ore|uur|uren|timme|timmar|tim"),
        ("", HOUR, "timer|tunti|tuntia|godzina|godziny|godzin|godz|godzinę|hodina|hodiny|hodin|hod|hodinu|hodín"),
        (
            "",
            HOUR,
            "час|часа|часов|ч|година|години|годин|год|часове|saat|sa|时|小时|小時|時|時間|시간|óra|órát|ώρα|ώρες|hores",
        ),
        (
            "",
            HOUR,
            "ชั่วโมง|ชม|giờ|tiếng|jam|ساعة|ساعات|שעה|שעות|sat|sata|sati|ur|ura|ure|uri|tund|tundi|val|stundas|घंटे|घंटा",
        ),
        ("=da", HOUR, "time|t"),
        ("=no", HOUR, "time|t"),
        ("=fi", HOUR, "t"),
        ("=sv", HOUR, "t"),
        ("=nl", HOUR, "u"),
        (
            "",
            DAY,
            "d|day|days|tag|tage|tagen|jour|jours|día|días|dia|dias|giorno|giorni|dagen|dag|dagar|dager|dage|dni|dnia",
        ),
        (
            "",
            DAY,
            "dzień|den|dny|dní|päivä|päivää|день|дня|дней|дні|днів|gün|日|日間|天|일|nap|ημέρες|ημέρα|วัน|ngày|hari|يوم|أيام|ימים|יום|zile|zi",
        ),
        (
            "",
            WEEK,
            "week|weeks|woche|wochen|semaine|semaines|semana|semanas|settimana|settimane|weken|vecka|veckor|uge|uger",
        ),
        (
            "",
            WEEK,
            "uke|uker|viikko|viikkoa|tydzień|tygodnie|tygodni|týden|týdny|týdnů|неделя|недели|недель|тиждень|тижні|hafta|週間|周|주|hét",
        ),
        (
            "",
            UNFIXED,
            "month|months|monat|monate|monaten|mois|mes|meses|mese|mesi|mês|maand|maanden|månad|månader|måned|måneder",
        ),
        (
            "",
            UNFIXED,
            "kuukausi|kuukautta|miesiąc|miesiące|miesięcy|měsíc|měsíce|měsíců|месяц|месяца|месяцев|ay|か月|ヶ月|个月|個月|개월",
        ),
        (
            "",
            UNFIXED,
            "year|years|yr|yrs|jahr|jahre|jahren|an|ans|année|années|año|años|anno|anni|ano|anos|jaar|år|vuosi|vuotta|rok|lata|lat",
        ),
        ("", UNFIXED, "roky|let|год|года|лет|yıl|年|年間|년"),
    ])
});

/// Words that stand for a number before a unit: hundredths of a unit.
pub(super) static COUNTS: LazyLock<Lexicon<u64>> = LazyLock::new(|| {
    Lexicon::new(&[
        ("en", 100, "one|an|a"),
        ("en", 200, "two"),
        ("en", 300, "three"),
        ("en", 50, "half"),
        ("de", 100, "ein|eine|einer|einem|einen"),
        ("de", 200, "zwei"),
        ("de", 300, "drei"),
        ("de", 50, "halbe|halben|halb|halber"),
        ("de", 150, "anderthalb|eineinhalb"),
        ("de", 250, "zweieinhalb"),
        ("fr", 100, "une|un"),
        ("fr", 200, "deux"),
        ("fr", 300, "trois"),
        ("fr", 50, "demi|demie"),
        ("es", 100, "una|un"),
        ("es", 200, "dos"),
        ("es", 300, "tres"),
        ("es", 50, "media|medio"),
        ("it", 100, "un|una|un'"),
        ("it", 200, "due"),
        ("it", 300, "tre"),
        ("it", 50, "mezz|mezza|mezzora"),
        ("pt", 100, "uma|um"),
        ("pt", 200, "duas"),
        ("pt", 50, "meia|meio"),
        ("nl", 100, "een"),
        ("nl", 200, "twee"),
        ("nl", 50, "half"),
        ("nl", 150, "anderhalf|anderhalve"),
        ("pl", 100, "jedna|jedną"),
        ("pl", 50, "pół"),
        ("pl", 150, "półtorej"),
        ("sv", 100, "en|ett"),
        ("sv", 200, "två"),
        ("sv", 50, "halv|halvt"),
        ("da", 100, "en|et"),
        ("da", 200, "to"),
        ("da", 50, "halv"),
        ("da", 150, "halvanden"),
        ("no", 100, "en|ett"),
        ("no", 50, "halv"),
        ("no", 150, "halvannen"),
        ("fi", 50, "puoli"),
        ("fi", 150, "puolitoista"),
        ("cs", 50, "půl"),
        ("ru", 50, "полчаса"),
        ("ru", 150, "полтора"),
        ("tr", 100, "bir"),
        ("tr", 50, "yarım"),
    ])
});

/// What stands after a unit and adds half of one more, folded.
pub(super) const AND_A_HALF: [&str; 13] = [
    "and a half",
    "et demie",
    "et demi",
    "y media",
    "y medio",
    "e mezza",
    "e mezzo",
    "e meia",
    "e meio",
    "en een half",
    "och en halv",
    "og en halv",
    "с половинои",
];
