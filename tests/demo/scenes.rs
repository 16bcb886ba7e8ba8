//! The scenes: what is done to the master and to ZooKeeper, what has to follow, and within which time.

use crate::cast::{Sight, Standing};
use crate::ledger::Moment;
use crate::play::{Play, Stop, CANDIDATES};
use crate::stage::Stage;
use crate::timeline::Ink;
use std::time::Duration;
use testkit::Ensemble;

/// Much longer than anything takes on a machine that does nothing else: a demo must not fail because a machine is busy.
const PATIENCE: Duration = Duration::from_secs(15);
const SERVER_PATIENCE: Duration = Duration::from_secs(60);

/// Plays all scenes, and returns what the last line says of each.
pub fn perform(play: &mut Play, stage: &Stage) -> Result<Vec<String>, Stop> {
    let mut told = vec![
        everybody_stands(play)?,
        the_master_is_killed(play, stage.session_timeout())?,
        the_master_resigns(play)?,
    ];
    match stage {
        Stage::Own(ensemble) => {
            told.push(the_server_of_the_master_is_killed(play, ensemble, stage.session_timeout())?);
            told.push(all_servers_are_restarted(play, ensemble, stage.session_timeout())?);
        }
        Stage::Guest(_) => {
            play.timeline.scene("Left out: kill -9 of a server, and a restart of all of them");
            play.timeline.outcome("the ZooKeeper servers are yours, and stay as they are");
        }
    }
    play.timeline.scene("The end: all leave, the master last");
    play.curtain()?;
    Ok(told)
}

fn everybody_stands(play: &mut Play) -> Result<String, Stop> {
    play.timeline.scene("Four candidates and an observer are started");
    let at = play.now();
    play.start_observer();
    (0..CANDIDATES.len()).for_each(|who| play.start_candidate(who));
    let (master, _) = play.wait("first master whom all know", PATIENCE, |play| play.agreed_master())?;
    let took = between(at, play.since(master));
    play.timeline.outcome(&format!(
        "first master after {}: {}. All others know it {} later.",
        took,
        play.name(master),
        between(play.since(master), play.now())
    ));
    Ok(format!("start {}", took))
}

fn the_master_is_killed(play: &mut Play, session_timeout: Duration) -> Result<String, Stop> {
    play.timeline.scene("kill -9 of the master");
    let (old, _) = master_of(play)?;
    let (name, pid) = (play.name(old), play.pid(old));
    let at = play.kill(old);
    play.row(at, Ink::Red, &format!("kill -9 {pid}, which is {name}"));

    let at_most = 2 * session_timeout + PATIENCE;
    let (new, _) = play.wait("next master whom all know", at_most, |play| play.agreed_master())?;
    let took = between(at, play.since(new));
    let given_up_at = play
        .nobody_at()
        .filter(|nobody_at| *nobody_at > at)
        .map_or(play.since(new), |nobody_at| nobody_at.min(play.since(new)));
    play.timeline.outcome(&format!(
        "next master after {}: {}. ZooKeeper gave {name} up after {}, which is the session timeout of {}, counted from \
         {name}'s last sign of life and rounded up to whole ticks; the election itself took {}.",
        took,
        play.name(new),
        between(at, given_up_at),
        ms(session_timeout),
        between(given_up_at, play.since(new))
    ));

    play.start_candidate(old);
    play.row(play.now(), Ink::Bold, &format!("{name} is started again"));
    play.wait("slave that came back", PATIENCE, |play| play.agreed_master())?;
    Ok(format!("kill -9 {}", took))
}

fn the_master_resigns(play: &mut Play) -> Result<String, Stop> {
    play.timeline.scene("The master resigns");
    let (old, _) = master_of(play)?;
    let name = play.name(old);
    let at = play.tell(old, "resign")?;
    play.row(at, Ink::Bold, &format!("{name} is told to resign"));
    let (new, _) = play.wait("master after the resignation", PATIENCE, |play| {
        let has_resigned = play.standing(old) == Standing::Resigned;
        play.agreed_master().filter(|_| has_resigned)
    })?;
    let took = between(at, play.since(new));
    play.timeline.outcome(&format!(
        "next master after {}: {}. A resignation waits for no timeout.",
        took,
        play.name(new)
    ));

    let at = play.tell(old, "stand")?;
    play.row(at, Ink::Bold, &format!("{name} is told to stand again"));
    play.wait("slave that stands again", PATIENCE, |play| {
        let stands = play.standing(old) != Standing::Resigned;
        play.agreed_master().filter(|_| stands)
    })?;
    Ok(format!("resignation {}", took))
}

fn the_server_of_the_master_is_killed(
    play: &mut Play,
    ensemble: &Ensemble,
    session_timeout: Duration,
) -> Result<String, Stop> {
    play.timeline.scene("kill -9 of the ZooKeeper server that the master is connected to");
    let (old, token) = master_of(play)?;
    let (session_id, server) = server_of_master(play, ensemble)?;
    let what = match ensemble.leader() == Some(server) {
        true => "the leader of the three",
        false => "a follower",
    };
    let pid = ensemble.pid(server).unwrap_or_default();
    let killed_at = play.now();
    ensemble.kill9(server);
    play.row(killed_at, Ink::Red, &format!("kill -9 {pid}, which is server {}, {what}", server + 1));

    // A master is not told of a break that its lease outlasts, so ZooKeeper is asked where its session has gone.
    let moved = |play: &mut Play| {
        let was_told = play.standing(old) != Standing::Master { token };
        let now_at = ensemble.server_of_session(session_id).filter(|now_at| *now_at != server);
        (was_told || now_at.is_some()).then(|| (now_at, play.now()))
    };
    let (moved_to, moved_at) = play.wait("master's session on another server", PATIENCE, moved)?;
    let at_most = 2 * session_timeout + PATIENCE;
    let (new, new_token) = play.wait("master after the server's death", at_most, |play| play.agreed_master())?;
    let is_same = (new, new_token) == (old, token);
    play.timeline.outcome(&match (is_same, moved_to) {
        (true, Some(moved_to)) => format!(
            "{} was master throughout: its session went on on server {} after {}, inside its lease; the same znode, the \
             same token.",
            play.name(old),
            moved_to + 1,
            between(killed_at, moved_at)
        ),
        _ => format!(
            "the lease of {} did not last; next master {} after the kill: {}.",
            play.name(old),
            between(killed_at, play.since(new)),
            play.name(new)
        ),
    });

    let at = play.now();
    ensemble.start_server(server);
    play.row(at, Ink::Bold, &format!("server {} is started again", server + 1));
    let serves_at = play.wait("server that serves again", SERVER_PATIENCE, |play| {
        ensemble.is_serving(server).then(|| play.now())
    })?;
    play.row(
        serves_at,
        Ink::Bold,
        &format!("server {} serves again, {} later", server + 1, between(at, serves_at)),
    );
    let after = play.wait("master after the server's return", at_most, |play| play.agreed_master())?;
    if after != (new, new_token) {
        play.timeline.outcome(&format!("next master: {}", play.name(after.0)));
    }
    Ok(match is_same {
        true => format!("server killed 0 ms (same master throughout, moved in {})", between(killed_at, moved_at)),
        false => format!("server killed {} (next master)", between(killed_at, play.since(new))),
    })
}

fn all_servers_are_restarted(
    play: &mut Play,
    ensemble: &Ensemble,
    session_timeout: Duration,
) -> Result<String, Stop> {
    play.timeline.scene("All ZooKeeper servers are stopped, and started again");
    let (old, _) = master_of(play)?;
    let at = play.now();
    play.row(at, Ink::Red, "all three servers are told to end");
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| ensemble.stop_all());
        play.wait("end of the servers", SERVER_PATIENCE, |_| stopping.is_finished().then_some(()))
    })?;
    play.row(play.now(), Ink::Red, "all three servers have ended");
    play.wait("silence without servers", PATIENCE, |play| play.nobody_can_tell().then_some(()))?;
    let lost_at = play.since(old);
    play.timeline.outcome(&format!(
        "without ZooKeeper nobody claims to be master for long: the lease of {} ran out {} after the order, sooner than \
         its session of {} could.",
        play.name(old),
        between(at, lost_at),
        ms(session_timeout)
    ));

    let at = play.now();
    ensemble.start_all();
    play.row(at, Ink::Bold, "all three servers are started again");
    let mut serving = vec![false; ensemble.len()];
    let is_up = |play: &mut Play| {
        for (i, serves) in serving.iter_mut().enumerate().filter(|(_, serves)| !**serves) {
            *serves = ensemble.is_serving(i);
            if *serves {
                play.row(play.now(), Ink::Bold, &format!("server {} serves", i + 1));
            }
        }
        serving.iter().all(|&serves| serves).then(|| play.now())
    };
    let up_at = play.wait("ensemble that serves again", SERVER_PATIENCE, is_up)?;
    let at_most = 2 * session_timeout + PATIENCE;
    let (new, _) = play.wait("master after the restart", at_most, |play| play.agreed_master())?;
    let back_at = play.since(new);
    let what = match new == old {
        true => "is master again, with a new znode and token, as what ran out is over for good,".to_owned(),
        false => format!("is the next master, as the mastership of {} had run out,", play.name(old)),
    };
    play.timeline.outcome(&format!(
        "{} {what} {} after the servers were started; all three served after {}. Nobody was master for {}.",
        play.name(new),
        between(at, back_at),
        between(at, up_at),
        between(lost_at, back_at)
    ));
    Ok(format!("restart of all {}", between(at, back_at)))
}

/// The master, on whom all agreed when the scene before was over.
fn master_of(play: &mut Play) -> Result<(usize, i64), Stop> {
    play.wait("master", PATIENCE, |play| play.agreed_master())
}

/// The master's session, and the server that it is connected to.
fn server_of_master(play: &mut Play, ensemble: &Ensemble) -> Result<(i64, usize), Stop> {
    play.wait("server that knows the master's session", PATIENCE, |play| match play.sight() {
        Sight::Master { session_id, .. } => ensemble.server_of_session(*session_id).map(|at| (*session_id, at)),
        _ => None,
    })
}

/// From one moment to a later one. Moments that two programs are heard at may be the wrong way round by a little.
fn between(from: Moment, to: Moment) -> String {
    ms(to.saturating_sub(from))
}

fn ms(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "under 1 ms".to_owned(),
        ms => format!("{ms} ms"),
    }
}
