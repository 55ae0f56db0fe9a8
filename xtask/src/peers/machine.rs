//! What the figures were taken on.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Instruction sets that decide how fast matrix products are, as /proc/cpuinfo calls them.
const INSTRUCTIONS: [&str; 9] =
    ["avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"];

/// Lines on the machine, the compiler and the day.
pub fn describe(threads: usize) -> Vec<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim())
    };
    let flags: Vec<&str> = field("flags").unwrap_or_default().split_whitespace().collect();
    let known: Vec<&str> = INSTRUCTIONS.into_iter().filter(|name| flags.contains(name)).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        format!(
            "machine: {}, {cores} cores, {threads} threads used, {}",
            field("model name").unwrap_or("processor not known"),
            known.join(" ")
        ),
        format!("compiler: {}", compiler().unwrap_or_else(|| "not known".into())),
        format!("date: {}", today()),
    ]
}

/// Processes that ran or waited to, the mean over the last minute.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("not known").to_owned()
}

fn compiler() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The day by the system's clock, in UTC.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    date(seconds / 86_400)
}

/// `YYYY-MM-DD` of a day counted from 1970-01-01.
fn date(mut day: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_become_dates() {
        let days = [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (20_454, "2026-01-01"),
        ];
        for (day, date) in days {
            assert_eq!(super::date(day), date);
        }
    }
}
