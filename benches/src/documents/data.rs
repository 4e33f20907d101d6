//! The documents: orders of a shop, made from a fixed seed, so that every store and every run has the same.

use serde_json::{Value, json};

/// Orders of one customer, on average.
const ORDERS_PER_CUSTOMER: u64 = 10;
const CITIES: u64 = 200;
const STATUSES: [&str; 5] = ["open", "paid", "packed", "sent", "returned"];
const COUNTRIES: [&str; 8] = ["DE", "FR", "IT", "ES", "PL", "NL", "SE", "PT"];
/// Different words of the notes; the first are the most frequent.
const WORDS: u64 = 4000;
const WORDS_PER_NOTE: u64 = 24;
/// The first order's time, in seconds since 1970; one order follows each minute.
const FIRST_SECONDS: u64 = 1_600_000_000;
/// Totals are below this, in hundredths.
const TOTAL_MAX: u64 = 100_000;

/// A small generator of numbers that look random (`SplitMix64`): the same for the same seed, everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, end: u64) -> u64 {
        let narrower = self.below(end) + 1;
        self.below(narrower)
    }
}

/// What is asked of the store, made for a number of documents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orders {
    pub(crate) count: u64,
}

/// Two ends, both inclusive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Orders {
    pub(crate) fn key(number: u64) -> String {
        format!("order-{number:09}")
    }

    /// The order of this number, without its key.
    pub(crate) fn document(self, number: u64) -> Value {
        let mut random = Numbers::new(number.wrapping_mul(0xA24B_AED4_963E_E407));
        let customer = self.customer(&mut random);
        let items: Vec<Value> = (0..=random.below(3))
            .map(|_| {
                let sku = format!("sku-{:05}", random.skewed(20_000));
                json!({"sku": sku, "quantity": random.below(9) + 1, "price": hundredths(random.below(20_000))})
            })
            .collect();
        json!({
            "customer": customer,
            "city": city(&mut random),
            "country": pick(&mut random, &COUNTRIES),
            "status": pick(&mut random, &STATUSES),
            "total": hundredths(random.below(TOTAL_MAX)),
            "created": time(FIRST_SECONDS + number * 60),
            "items": items,
            "note": note(&mut random),
            "gift": random.below(20) == 0,
        })
    }

    /// The orders of some numbers with their keys.
    pub(crate) fn documents(self, from: u64, to: u64) -> Vec<(String, Value)> {
        (from..to)
            .map(|number| (Self::key(number), self.document(number)))
            .collect()
    }

    fn customer(self, random: &mut Numbers) -> String {
        format!(
            "customer-{:07}",
            random.below((self.count / ORDERS_PER_CUSTOMER).max(1))
        )
    }

    /// A key that is there.
    pub(crate) fn some_key(self, random: &mut Numbers) -> String {
        Self::key(random.below(self.count))
    }

    /// A customer who probably has orders.
    pub(crate) fn some_customer(self, random: &mut Numbers) -> String {
        self.customer(random)
    }

    /// Totals of about twice as many orders as are asked for, whatever the number of all.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn some_totals(self, random: &mut Numbers, wanted: u64) -> Totals {
        let width = (2 * wanted * TOTAL_MAX / self.count.max(1)).clamp(1, TOTAL_MAX / 2);
        let from = random.below(TOTAL_MAX - width);
        Totals {
            from: from as f64 / 100.0,
            to: (from + width) as f64 / 100.0,
        }
    }
}

pub(crate) fn some_status(random: &mut Numbers) -> &'static str {
    pick(random, &STATUSES)
}

/// Two words, neither of the most frequent.
pub(crate) fn some_words(random: &mut Numbers) -> [String; 2] {
    [0; 2].map(|_| word(20 + random.below(400)))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn hundredths(number: u64) -> f64 {
    number as f64 / 100.0
}

fn city(random: &mut Numbers) -> String {
    format!("city-{:03}", random.skewed(CITIES))
}

fn pick(random: &mut Numbers, from: &[&'static str]) -> &'static str {
    let place = usize::try_from(random.below(from.len() as u64)).unwrap_or(0);
    from.get(place).copied().unwrap_or("")
}

fn note(random: &mut Numbers) -> String {
    let words: Vec<String> = (0..WORDS_PER_NOTE).map(|_| word(random.skewed(WORDS))).collect();
    words.join(" ")
}

/// A word that no stemmer changes: pairs of consonant and vowel with a consonant at the end.
fn word(number: u64) -> String {
    const CONSONANTS: [char; 10] = ['b', 'd', 'f', 'g', 'k', 'l', 'm', 'n', 'r', 't'];
    const VOWELS: [char; 4] = ['a', 'o', 'u', 'i'];
    let mut rest = number + 37;
    let mut word = String::new();
    while rest > 0 {
        let consonant = usize::try_from(rest % 10).unwrap_or(0);
        let vowel = usize::try_from(rest / 10 % 4).unwrap_or(0);
        word.extend(CONSONANTS.get(consonant).into_iter().chain(VOWELS.get(vowel)));
        rest /= 40;
    }
    word.push('k');
    word
}

/// RFC 3339 in UTC, to the second.
fn time(seconds: u64) -> String {
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Days since 1 March of the year 0, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(time(FIRST_SECONDS), "2020-09-13T12:26:40Z");
    }

    #[test]
    fn a_number_is_always_the_same_document() {
        let orders = Orders { count: 1000 };
        assert_eq!(orders.document(7), orders.document(7));
        assert_ne!(orders.document(7), orders.document(8));
        let bytes = orders.document(7).to_string().len();
        assert!((350..900).contains(&bytes), "{bytes}");
    }
}
