//! Whether the server at the other end makes sense. The client crate takes any byte for a sign of life, waits for ever for
//! the rest of a frame, and comes back at once however often it is thrown out: here it is given up.

use std::time::Duration;

use crate::logic::Time;

/// A connection that ends sooner was good for nothing.
const SHORT_LIFE_MS: u64 = 200;

/// With so many points for those in a row the session is given up; one on which a server answered is a lesser offence.
const MOST_POINTS: u32 = 100;
const POINTS: u32 = 5;
const POINTS_IF_ANSWERED: u32 = 1;

/// However long the session timeout that a server grants, it has to answer within this.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// With less, a session would be over before anything could be asked in it.
const SHORTEST_GRANT: Duration = Duration::from_millis(40);

/// A server may grant more than was asked for (minSessionTimeout); more than this nobody means.
const LONGEST_GRANT: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a server may have meant to grant this session timeout to one who asked for that.
pub fn is_credible(granted: Duration, asked: Duration) -> bool {
    (SHORTEST_GRANT..=LONGEST_GRANT.max(asked)).contains(&granted)
}

#[derive(Debug, Default)]
pub struct ServerHealth {
    up_at: Option<Time>,
    /// When the first request was sent that came after the last answer.
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

    /// A server's own answer came, one that could be read.
    pub fn answered(&mut self) {
        self.has_answered = true;
        self.asked_at = None;
    }

    /// The connection broke. Whether it had stood for long enough to be one.
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

    /// Whether the server has thrown us out too often to be asked at once again.
    pub fn is_lost(&self) -> bool {
        self.points >= MOST_POINTS
    }

    /// When an answer has to be there.
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
