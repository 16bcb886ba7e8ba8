//! Decides whether the connected server works. The client crate takes any byte as a sign of life, waits forever for the
//! rest of a frame, and reconnects at once no matter how often the server drops it. This module gives up such a server.

use std::time::Duration;

use crate::logic::Time;

/// A connection that ends sooner counts against the server.
const SHORT_LIFE_MS: u64 = 200;

/// The session is given up when the short connections in a row add up to this number of points. A short connection on
/// which the server answered costs fewer points.
const MOST_POINTS: u32 = 100;
const POINTS: u32 = 5;
const POINTS_IF_ANSWERED: u32 = 1;

/// A server must answer within this time, even if it grants a longer session timeout.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// A session with a shorter timeout would expire before we could send a request in it.
const SHORTEST_GRANT: Duration = Duration::from_millis(40);

/// A server may grant more than we asked for (minSessionTimeout). A grant above this limit is taken for an error.
const LONGEST_GRANT: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a server may have granted this session timeout on purpose to a client that asked for `asked`.
pub fn is_credible(granted: Duration, asked: Duration) -> bool {
    (SHORTEST_GRANT..=LONGEST_GRANT.max(asked)).contains(&granted)
}

#[derive(Debug, Default)]
pub struct ServerHealth {
    up_at: Option<Time>,
    /// When the first request after the last answer was sent.
    asked_at: Option<Time>,
    has_answered: bool,
    points: u32,
}

impl ServerHealth {
    pub fn connected(&mut self, now: Time) {
        self.up_at = Some(now);
        self.has_answered = false;
        self.asked_at = None;
    }

    pub fn asked(&mut self, now: Time) {
        self.asked_at.get_or_insert(now);
    }

    /// The server sent an answer of its own that could be decoded.
    pub fn answered(&mut self) {
        self.has_answered = true;
        self.asked_at = None;
    }

    /// The connection broke. Returns whether it had lasted for at least `SHORT_LIFE_MS`.
    pub fn broken(&mut self, now: Time) -> bool {
        self.asked_at = None;
        let Some(up_at) = self.up_at.take() else { return false };
        let stood = up_at.plus_ms(SHORT_LIFE_MS) <= now;
        self.points = match (stood, self.has_answered) {
            (true, _) => 0,
            (false, true) => self.points.saturating_add(POINTS_IF_ANSWERED),
            (false, false) => self.points.saturating_add(POINTS),
        };
        stood
    }

    /// Whether the server has dropped us too often to retry it at once.
    pub fn is_lost(&self) -> bool {
        self.points >= MOST_POINTS
    }

    /// The time by which the server must have answered.
    pub fn deadline(&self, session_timeout: Duration) -> Option<Time> {
        let patience = session_timeout.min(LONGEST_SILENCE).as_millis();
        self.asked_at.map(|asked_at| asked_at.plus_ms(patience as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(2);

    fn at(ms: u64) -> Time {
        Time(0).plus_ms(ms)
    }

    #[test]
    fn the_oldest_question_without_an_answer_counts() {
        let mut server_health = ServerHealth::default();
        server_health.connected(at(0));
        assert_eq!(server_health.deadline(T), None);
        server_health.asked(at(10));
        server_health.asked(at(500));
        assert_eq!(server_health.deadline(T), Some(at(2010)));
        assert_eq!(server_health.deadline(Duration::MAX), Some(at(60_010)));
        server_health.answered();
        assert_eq!(server_health.deadline(T), None);
    }

    #[test]
    fn what_a_server_may_grant() {
        let (ms, day) = (Duration::from_millis, Duration::from_secs(24 * 60 * 60));
        assert!(!is_credible(ms(0), ms(1000)));
        assert!(!is_credible(ms(39), ms(1000)));
        assert!(is_credible(ms(40), ms(1000)));
        assert!(is_credible(day, ms(1000)));
        assert!(!is_credible(day + ms(1), ms(1000)));
        assert!(!is_credible(ms(i32::MAX as u64), ms(1000)));
        assert!(is_credible(day * 2, day * 2));
        assert!(!is_credible(day * 2 + ms(1), day * 2));
    }

    #[test]
    fn connections_that_end_at_once() {
        for (answers, lives) in [(false, MOST_POINTS / POINTS), (true, MOST_POINTS / POINTS_IF_ANSWERED)] {
            let mut server_health = ServerHealth::default();
            for round in 0..lives {
                assert!(!server_health.is_lost(), "{round}");
                server_health.connected(at(0));
                server_health.asked(at(0));
                if answers {
                    server_health.answered();
                }
                assert!(!server_health.broken(at(SHORT_LIFE_MS - 1)));
            }
            assert!(server_health.is_lost());
            server_health.connected(at(0));
            assert!(server_health.broken(at(SHORT_LIFE_MS)));
            assert!(!server_health.is_lost());
        }
    }
}
