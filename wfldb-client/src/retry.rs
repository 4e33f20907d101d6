//! Whether a request that did not succeed is sent again: a pure table over what failed, what the request was,
//! and how long it has been tried. No clock, no randomness and no socket here: they come in as arguments.

use std::time::Duration;

/// What sending a request twice would mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// `GET` and `HEAD`: nothing changes, so nothing can change twice.
    Read,
    /// A write whose precondition fails when the first one was carried out after all.
    Guarded,
    /// A write that leaves the same when it is carried out twice: a part of an upload, a compaction.
    Idempotent,
    /// A write that would be carried out twice.
    Write,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The request surely was not acted on: no connection, or the body was cut short (a body that does not
    /// match its signed length and hash leaves nothing, PROTOCOL §4).
    NotSent,
    /// The whole request went out and no answer came.
    NoAnswer,
    /// 401 with the hint `ClockSkew`: our clock is off, or the server started a moment ago.
    ClockSkew,
    /// 429 or 503, with the `retry-after` that came along.
    Refused {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// 500 `OutcomeUnknown`: the server itself does not know.
    OutcomeUnknown,
    /// Any other answer: sending it again would be answered the same.
    Final,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Sign anew and send again after this long.
    Resend {
        /// How long to wait first.
        after: Duration,
    },
    /// Report the failure as it is.
    GiveUp,
    /// Report that the write may or may not have been carried out.
    Unknown,
}

/// Bounds on trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often one request is sent at most.
    pub attempts_max: u32,
    /// How long one request is tried at most, waiting included.
    pub total: Duration,
    /// The first wait; it doubles with each attempt.
    pub first_wait: Duration,
    /// How long a server is tried that this client never reached: most likely the address is wrong, or it is off.
    pub first_contact: Duration,
    /// No single wait is longer.
    pub wait_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 12,
            total: Duration::from_secs(10),
            first_wait: Duration::from_millis(50),
            wait_max: Duration::from_secs(2),
            first_contact: Duration::from_secs(3),
        }
    }
}

impl RetryPolicy {
    /// A policy that sends everything once.
    pub const fn never() -> Self {
        Self {
            attempts_max: 1,
            total: Duration::ZERO,
            first_wait: Duration::ZERO,
            wait_max: Duration::ZERO,
            first_contact: Duration::ZERO,
        }
    }

    /// The policy towards a server that was never reached.
    #[must_use]
    pub fn before_first_contact(&self) -> Self {
        Self {
            total: self.total.min(self.first_contact),
            ..*self
        }
    }

    /// Decides about attempt number `attempt` (the first is 1) of a request first sent `elapsed` ago.
    /// `jitter` is a random byte; it spreads the waits of clients that failed together.
    pub fn decide(
        &self,
        failure: Failure,
        safety: Safety,
        attempt: u32,
        elapsed: Duration,
        jitter: u8,
    ) -> Verdict {
        let open = matches!(failure, Failure::NoAnswer | Failure::OutcomeUnknown);
        let give_up = if open && safety != Safety::Read {
            Verdict::Unknown
        } else {
            Verdict::GiveUp
        };
        let resend = match failure {
            Failure::NotSent | Failure::ClockSkew | Failure::Refused { .. } => true,
            Failure::NoAnswer => safety != Safety::Write,
            Failure::OutcomeUnknown | Failure::Final => false,
        };
        if !resend || attempt >= self.attempts_max {
            return give_up;
        }
        let after = match failure {
            // The first answer taught us the server's time, so the second try is made at once.
            Failure::ClockSkew if attempt == 1 => Duration::ZERO,
            Failure::Refused {
                retry_after: Some(asked),
            } => asked.max(self.wait(attempt, jitter)),
            _ => self.wait(attempt, jitter),
        };
        if elapsed.saturating_add(after) > self.total {
            return give_up;
        }
        Verdict::Resend { after }
    }

    /// Exponential wait before attempt `attempt + 1`, between half of it and all of it.
    fn wait(&self, attempt: u32, jitter: u8) -> Duration {
        let doubled = self
            .first_wait
            .saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
        let whole = doubled.min(self.wait_max);
        let half = whole / 2;
        half.saturating_add(half.saturating_mul(u32::from(jitter)) / 255)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    fn decide(failure: Failure, safety: Safety) -> Verdict {
        RetryPolicy::default().decide(failure, safety, 1, SOON, 255)
    }

    #[test]
    fn only_what_is_safe_is_sent_again() {
        use Failure as F;
        use Safety as S;
        let wait = Verdict::Resend {
            after: Duration::from_millis(50),
        };
        let at_once = Verdict::Resend {
            after: Duration::ZERO,
        };
        let refused = F::Refused { retry_after: None };
        let table = [
            (F::NotSent, S::Read, wait),
            (F::NotSent, S::Guarded, wait),
            (F::NotSent, S::Write, wait),
            (F::NoAnswer, S::Read, wait),
            (F::NoAnswer, S::Guarded, wait),
            (F::NoAnswer, S::Idempotent, wait),
            (F::NoAnswer, S::Write, Verdict::Unknown),
            (F::ClockSkew, S::Read, at_once),
            (F::ClockSkew, S::Write, at_once),
            (refused, S::Read, wait),
            (refused, S::Write, wait),
            (F::OutcomeUnknown, S::Read, Verdict::GiveUp),
            (F::OutcomeUnknown, S::Guarded, Verdict::Unknown),
            (F::OutcomeUnknown, S::Idempotent, Verdict::Unknown),
            (F::OutcomeUnknown, S::Write, Verdict::Unknown),
            (F::Final, S::Read, Verdict::GiveUp),
            (F::Final, S::Guarded, Verdict::GiveUp),
            (F::Final, S::Write, Verdict::GiveUp),
        ];
        for (failure, safety, expected) in table {
            assert_eq!(decide(failure, safety), expected, "{failure:?} {safety:?}");
        }
    }

    #[test]
    fn trying_again_is_bounded_in_number_and_time() {
        let policy = RetryPolicy::default();
        for failure in [
            Failure::NotSent,
            Failure::ClockSkew,
            Failure::Refused { retry_after: None },
        ] {
            assert_eq!(
                policy.decide(failure, Safety::Write, policy.attempts_max, SOON, 0),
                Verdict::GiveUp
            );
            assert_eq!(
                policy.decide(failure, Safety::Write, 4, policy.total, 255),
                Verdict::GiveUp
            );
        }
        assert_eq!(
            policy.decide(Failure::NoAnswer, Safety::Guarded, 4, policy.total, 255),
            Verdict::Unknown,
            "a guarded write that never was answered may have been carried out"
        );
        let soon_over = policy.first_contact;
        assert_ne!(
            policy.decide(Failure::NotSent, Safety::Read, 4, soon_over, 0),
            Verdict::GiveUp
        );
        let stranger = policy.before_first_contact();
        assert_eq!(
            stranger.decide(Failure::NotSent, Safety::Read, 4, soon_over, 0),
            Verdict::GiveUp
        );
        assert_eq!(
            RetryPolicy::never().decide(Failure::NotSent, Safety::Read, 1, Duration::ZERO, 0),
            Verdict::GiveUp
        );
    }

    #[test]
    fn waits_double_up_to_a_bound_and_honour_retry_after() {
        let policy = RetryPolicy {
            attempts_max: 100,
            total: Duration::from_secs(1000),
            ..RetryPolicy::default()
        };
        let wait =
            |attempt, jitter| match policy.decide(Failure::NotSent, Safety::Read, attempt, SOON, jitter) {
                Verdict::Resend { after } => after,
                other => panic!("{other:?}"),
            };
        assert_eq!(wait(1, 255), Duration::from_millis(50));
        assert_eq!(wait(1, 0), Duration::from_millis(25));
        assert_eq!(wait(2, 255), Duration::from_millis(100));
        assert_eq!(wait(90, 255), policy.wait_max);
        let asked = Duration::from_secs(7);
        assert_eq!(
            policy.decide(
                Failure::Refused {
                    retry_after: Some(asked)
                },
                Safety::Write,
                1,
                SOON,
                0
            ),
            Verdict::Resend { after: asked }
        );
        assert_eq!(
            RetryPolicy::default().decide(
                Failure::Refused {
                    retry_after: Some(Duration::from_hours(1))
                },
                Safety::Write,
                1,
                SOON,
                0
            ),
            Verdict::GiveUp,
            "a server cannot make a client sleep for an hour"
        );
    }
}
