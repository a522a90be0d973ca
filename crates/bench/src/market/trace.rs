//! Traces of spot markets: for each zone and tick, whether an instance could be had, and its price.
//!
//! As CSV, gzipped or not: a column `ZONE_avail` (1 or 0) and a column `ZONE_price` (US$/h) for each
//! zone, a row for each tick; the other columns are not read, but for a second column with the time
//! of the tick, from which the tick's length is taken.

use flate2::read::GzDecoder;
use holdfast_cloud_sim::rng::SplitMix64;
use jiff::civil::DateTime;
use std::io::Read;
use std::path::Path;

/// The most ticks of a trace.
const MAX_TICKS: usize = 2_000_000;
/// The most zones of a trace.
pub const MAX_ZONES: usize = 64;
/// The largest file, unpacked, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Why a trace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file.
    #[error("the trace {path} cannot be read: {why}")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
    /// Its content.
    #[error("the trace {path}, line {line}: {problem}")]
    Malformed {
        /// Which file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// One zone's market over time.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneTrace {
    /// Its name, such as `us-east-1a`.
    pub zone: String,
    /// Whether an instance could be had, by tick.
    pub available: Vec<bool>,
    /// US dollars for an hour, by tick.
    pub price: Vec<f64>,
}

impl ZoneTrace {
    /// The region: the zone without its letter.
    #[must_use]
    pub fn region(&self) -> &str {
        self.zone.trim_end_matches(|c: char| c.is_ascii_lowercase())
    }
}

/// A trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Zones, in the file's order; at least one, each of the same number of ticks.
    pub zones: Vec<ZoneTrace>,
    /// Length of a tick in milliseconds.
    pub tick_ms: u64,
}

impl Trace {
    /// How many ticks there are.
    #[must_use]
    pub fn ticks(&self) -> usize {
        self.zones.first().map_or(0, |z| z.available.len())
    }

    /// The ticks from `from` up to but without `to`.
    #[must_use]
    pub fn between(&self, from: usize, to: usize) -> Trace {
        let (from, to) = (from.min(self.ticks()), to.min(self.ticks()));
        let cut = |z: &ZoneTrace| ZoneTrace {
            zone: z.zone.clone(),
            available: z.available.get(from..to).unwrap_or_default().to_vec(),
            price: z.price.get(from..to).unwrap_or_default().to_vec(),
        };
        Trace { zones: self.zones.iter().map(cut).collect(), tick_ms: self.tick_ms }
    }

    /// Some of the zones.
    #[must_use]
    pub fn of(&self, test: impl Fn(&ZoneTrace) -> bool) -> Trace {
        let zones = self.zones.iter().filter(|z| test(z)).cloned().collect();
        Trace { zones, tick_ms: self.tick_ms }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn read(path: &Path) -> Result<Trace, TraceError> {
        let name = path.display().to_string();
        let unreadable = |why: std::io::Error| TraceError::Unreadable {
            path: name.clone(),
            why: why.to_string(),
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        if path.extension().is_some_and(|e| e == "gz") {
            Trace::parse(&name, GzDecoder::new(file).take(MAX_BYTES))
        } else {
            Trace::parse(&name, file.take(MAX_BYTES))
        }
    }

    /// Reads CSV; `path` is for errors.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn parse(path: &str, text: impl Read) -> Result<Trace, TraceError> {
        let wrong = |line: u64, problem: String| TraceError::Malformed {
            path: path.to_owned(),
            line,
            problem,
        };
        let mut reader = csv::Reader::from_reader(text);
        let header = reader.headers().map_err(|e| wrong(1, e.to_string()))?.clone();
        let column = |name: &str| header.iter().position(|h| h == name);
        let mut columns = Vec::new();
        let mut zones = Vec::new();
        for name in header.iter().filter_map(|h| h.strip_suffix("_avail")) {
            let (Some(available), Some(price)) =
                (column(&format!("{name}_avail")), column(&format!("{name}_price")))
            else {
                return Err(wrong(1, format!("{name}_avail has no column {name}_price beside it")));
            };
            columns.push((available, price));
            let zone = name.to_owned();
            zones.push(ZoneTrace { zone, available: Vec::new(), price: Vec::new() });
        }
        if zones.is_empty() || zones.len() > MAX_ZONES {
            let found = zones.len();
            let problem = format!(
                "{found} zones; 1 to {MAX_ZONES} are needed, as columns ZONE_avail and ZONE_price"
            );
            return Err(wrong(1, problem));
        }
        let mut times = Vec::new();
        for (row, record) in reader.records().enumerate() {
            let line = row as u64 + 2;
            let record = record.map_err(|e| wrong(line, e.to_string()))?;
            if row >= MAX_TICKS {
                return Err(wrong(line, format!("more than {MAX_TICKS} ticks")));
            }
            if times.len() < 2
                && let Some(time) = record.get(1).and_then(|t| t.parse::<DateTime>().ok())
            {
                times.push(time);
            }
            for (zone, (available, price)) in zones.iter_mut().zip(&columns) {
                let is = record.get(*available).unwrap_or_default().trim();
                let is = match is.parse::<f64>() {
                    Ok(0.0) => false,
                    Ok(1.0) => true,
                    _ => {
                        let problem = format!("{}_avail is \"{is}\"; use 1 or 0", zone.zone);
                        return Err(wrong(line, problem));
                    }
                };
                let text = record.get(*price).unwrap_or_default().trim();
                let usd = text.parse::<f64>().ok().filter(|p| p.is_finite() && *p >= 0.0);
                let Some(usd) = usd else {
                    let problem = format!("{}_price is \"{text}\"; use US$/h", zone.zone);
                    return Err(wrong(line, problem));
                };
                zone.available.push(is);
                zone.price.push(usd);
            }
        }
        let tick = match times.as_slice() {
            [first, second] => first.until(*second).ok().map(|span| {
                u64::try_from(span.to_duration(*first).map_or(0, |d| d.as_millis())).unwrap_or(0)
            }),
            _ => None,
        };
        let Some(tick_ms) = tick.filter(|ms| *ms > 0) else {
            let problem =
                "the second column must hold the ticks' times, such as 2023-02-15 22:08:16";
            return Err(wrong(2, problem.to_owned()));
        };
        Ok(Trace { zones, tick_ms })
    }

    /// A made-up trace: each zone comes and goes with runs and gaps of its own mean and of heavy
    /// tails, at a price that wanders and says nothing about it.
    #[must_use]
    pub fn synthetic(seed: u64, zones: usize, days: u64, on_demand_usd: f64) -> Trace {
        const TICK: u64 = 5 * 60 * 1_000;
        let ticks = usize::try_from(days * 86_400_000 / TICK).unwrap_or(MAX_TICKS).min(MAX_TICKS);
        let mut rng = SplitMix64::new(seed);
        let mut unit = move || rng.between(1, 1_000_000) as f64 / 1_000_000.0;
        let zones = (0..zones.clamp(1, 26))
            .map(|number| {
                let mean_run = 6.0 + unit() * 200.0;
                let mean_gap = 1.0 + unit() * 60.0;
                let mut price = on_demand_usd * (0.25 + unit() * 0.35);
                let mut is = unit() < 0.7;
                let mut left = 0.0;
                let mut trace = ZoneTrace {
                    zone: format!("syn-1{}", char::from(b'a' + number as u8)),
                    available: Vec::with_capacity(ticks),
                    price: Vec::with_capacity(ticks),
                };
                for _ in 0..ticks {
                    if left <= 0.0 {
                        is = !is;
                        let mean = if is { mean_run } else { mean_gap };
                        // Three quarters short, one quarter long: the mean of the two is `mean`.
                        let scale = if unit() < 0.75 { 0.3 } else { 3.1 };
                        left = (mean * scale * -unit().ln()).max(1.0);
                    }
                    left -= 1.0;
                    price *= 1.0 + (unit() - 0.5) * 0.004;
                    price = price.clamp(on_demand_usd * 0.2, on_demand_usd * 0.7);
                    trace.available.push(is);
                    trace.price.push(price);
                }
                trace
            })
            .collect();
        Trace { zones, tick_ms: TICK }
    }
}
