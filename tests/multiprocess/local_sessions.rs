//! Servers with local sessions (`localSessionsEnabled`, with upgrading): their leader lets the requests of sessions pass that it does
//! not know. So what a resigned master had asked for, and what waited in a server that was cut off, is carried out under the next
//! master. In the node recipe all masters' znodes have one name: the late deletion is that of the next one's. In a queue each
//! znode has a name of its own, and nothing happens. `docs/compatibility.md` says so; should this test fail, it is to be
//! mended as well.

use std::time::Duration;

use testkit::Ensemble;

use crate::belief;
use crate::believer::{Believers, RECIPE_NODE, RECIPE_QUEUE, SLAVE};
use crate::WITNESS_TIMEOUT_MS;

const PATH: &str = "/local-sessions";

/// For what waits in the server that was cut off to be carried out.
const LATE: Duration = Duration::from_secs(6);

#[test]
#[ignore = "a minute: `make test-long` runs it"]
fn a_late_deletion_deposes_the_next_master_of_a_node_and_none_of_a_queue() {
    for (recipe, masterships) in [(RECIPE_NODE, 2), (RECIPE_QUEUE, 1)] {
        let ensemble = Ensemble::builder(3)
            .sync_limit(10)
            .max_session_timeout_ms(WITNESS_TIMEOUT_MS)
            .config_line("localSessionsEnabled=true")
            .config_line("localSessionsUpgradingEnabled=true")
            .network(true)
            .start();
        let network = ensemble.network();
        let clients = network.clients();
        let cut = (ensemble.wait_leader() + 1) % 3;
        let others: Vec<String> = (0..3).filter(|&i| i != cut).map(|i| ensemble.host(i)).collect();
        let believers = Believers::new();
        let options = [&format!("recipe={recipe}"), "session_timeout_ms=2000"];
        let first = believers.start_in(Some(clients), &ensemble.host(cut), PATH, "first", &options);
        first.wait_master(0);
        let second = believers.start_in(Some(clients), &others.join(","), PATH, "second", &options);
        second.wait_role(0, SLAVE);
        clients.run(|| {
            network.cut_off(cut);
            first.tell("resign");
            second.wait_master(0);
            network.join(cut);
            std::thread::sleep(LATE);
        });
        let of_second = belief::beliefs(&second).len();
        belief::check(&[&first, &second]);
        println!("recipe {recipe}: the next master had {of_second} masterships");
        assert_eq!(of_second, masterships, "recipe {recipe}");
    }
}
