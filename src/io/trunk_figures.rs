//! The health of the trunks on `/metrics`.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::switch::TrunkView;

type Gauges = Family<[(&'static str, String); 1], Gauge>;

/// Puts the health of all trunks on the page. A trunk that is not pinged is neither up nor down, one that does not register is left out
/// of what is registered.
pub fn show(page: &mut Registry, trunks: &[TrunkView]) {
    let page = page.sub_registry_with_prefix("trunk");
    let (up, registered, refused) = (Gauges::default(), Gauges::default(), Gauges::default());
    for trunk in trunks {
        let label = [("trunk", trunk.name.to_string())];
        if matches!(trunk.state, "up" | "down") {
            let is_up = i64::from(trunk.state == "up");
            up.get_or_create(&label).set(is_up);
        }
        if let Some(registration) = &trunk.registration {
            let there = i64::from(registration.state == "registered");
            registered.get_or_create(&label).set(there);
            let no = i64::from(trunk.state == "registration-refused");
            refused.get_or_create(&label).set(no);
        }
    }
    page.register("up", "1: a gateway answers, 0: none does", up);
    page.register(
        "registered",
        "1: it is registered at the other side, 0: it is not",
        registered,
    );
    page.register(
        "registration_refused",
        "1: the other side refuses the registration (wrong password, forbidden)",
        refused,
    );
}
