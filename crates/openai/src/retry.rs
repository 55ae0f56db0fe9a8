//! When to try again, and when.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Whether the server may answer otherwise another time.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// Whether the server has too much to do.
pub(crate) fn is_overload(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// How long the server asks to wait: seconds, or a date.
pub(crate) fn asked_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The wait before the attempt after `failed` ones: it doubles, and a draw between half and all of it keeps clients from
/// coming back together.
pub(crate) fn wait(failed: usize) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failed.saturating_sub(1).min(10)).min(LONGEST);
    doubled / 2 + part_of(doubled / 2)
}

/// How long a request that a server was too busy for waits besides the pause that is `asked` for: next to nothing is not taken
/// at its word, or it would be asked without end.
pub(crate) fn own_wait(asked: Duration, busy: usize) -> Duration {
    if asked < FIRST { wait(busy) } else { Duration::ZERO }
}

/// A part of it by chance.
pub(crate) fn part_of(whole: Duration) -> Duration {
    // Each RandomState is seeded anew; what is drawn changes no result.
    whole.mul_f64(RandomState::new().hash_one(0) as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        headers
    }

    #[test]
    fn servers_ask_in_seconds_or_by_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(asked_for(&headers("7"), now), Some(Duration::from_secs(7)));
        assert_eq!(asked_for(&headers("0.25"), now), Some(Duration::from_millis(250)));
        assert_eq!(asked_for(&headers("Sun, 06 Nov 1994 08:49:37 GMT"), now), Some(Duration::from_secs(7)));
        // The past, and nonsense.
        assert_eq!(asked_for(&headers("Sun, 06 Nov 1994 08:00:00 GMT"), now), Some(Duration::ZERO));
        assert_eq!(asked_for(&headers("-3"), now), Some(Duration::ZERO));
        assert_eq!(asked_for(&headers("soon"), now), None);
        assert_eq!(asked_for(&headers("1e300"), now), None);
        assert_eq!(asked_for(&HeaderMap::new(), now), None);
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        for failed in 1..200 {
            let most = FIRST.saturating_mul(1 << (failed - 1).min(10)).min(LONGEST);
            let found = wait(failed);
            assert!(most / 2 <= found && found <= most, "{failed}: {found:?}");
        }
    }

    #[test]
    fn no_server_is_asked_without_end_at_once() {
        assert_eq!(own_wait(Duration::from_secs(7), 1), Duration::ZERO);
        for asked in [Duration::ZERO, Duration::from_millis(1)] {
            assert!(own_wait(asked, 1) >= FIRST / 2 && own_wait(asked, 5) >= 8 * FIRST, "{asked:?}");
        }
    }

    #[test]
    fn what_passes() {
        let of = |status| is_passing(StatusCode::from_u16(status).unwrap());
        assert!([408, 429, 500, 502, 503, 504, 529].into_iter().all(of));
        assert!(![400, 401, 403, 404, 413, 422, 501].into_iter().any(of));
    }
}
