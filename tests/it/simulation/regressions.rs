//! Seeds of scenarios that once broke an invariant, each by a bug in nadmit that has been fixed.

/// Seeds, each with the failure that it found.
pub(super) const SEEDS: &[(u64, &str)] = &[
    // A reservation's record came back with an old copy of the ledger, when the reservation was
    // gone and a pod had the address: the record was deleted, and the address was given to another
    // pod.
    (2156, "a_restored_record_was_released_while_in_use"),
    // A pod's record came back with an old copy of the ledger, and its successor was given the
    // address again.
    (5758, "a_restored_record_was_reused_while_in_use"),
    (10263, "a_restored_record_was_taken_up_on_another_node"),
    // A pod that names an address was bound while no replica was running to report that the address
    // is in use.
    (3306, "a_named_address_was_used_without_a_record"),
    // A pod that never starts kept the addresses of the previous pod of its name.
    (5969, "a_pending_pod_kept_its_predecessor_s_address"),
    // A pod was to be created under a name that was taken: its addresses were kept for the existing
    // pod of that name, which does not have the interface.
    (637, "a_pod_never_created_left_an_address_to_its_namesake"),
    // A record as in seed 637 was deleted while its plan was still being recorded.
    (1839, "an_address_was_freed_in_the_middle_of_its_plan"),
    // A pod that was bound and whose request was refused behaved like one that never starts.
    (18972, "a_refused_pod_kept_its_predecessor_s_address"),
    // A pod was created with its node set and force-deleted before any record had its UID; it went
    // on running on its node, which did not respond.
    (
        12652,
        "an_address_on_a_silent_node_was_released_as_provisional",
    ),
    // A pod with two attachments was refused one address for both.
    (22544, "a_reservation_for_any_interface_was_for_all_of_them"),
    // Two plans of several records kept undoing each other.
    (31687, "two_plans_kept_undoing_each_other"),
    // As seed 637, for a pod that never starts.
    (
        35876,
        "a_pod_that_never_came_left_an_address_to_one_that_waits",
    ),
    // A pod was force-deleted on a silent node and recreated on another node; nadmit asked the
    // second node whether the address is free, not the first.
    (
        301_132,
        "an_address_on_a_silent_node_was_released_with_its_successor",
    ),
    (
        300_917,
        "a_replica_s_address_on_a_silent_node_was_released_with_its_successor",
    ),
    // A record with a pending write for another holder was not found as its holder's.
    (307_504, "a_replica_s_address_was_hidden_by_a_pending_write"),
    // A replica that had just started, and whose pools were not ready yet, refused the Binding of a
    // pod that had its address from another replica.
    (144, "a_replica_that_had_just_started_refused_a_binding"),
    // A Binding brought the requested text alone, because the pod named its address at creation: a
    // replica that lagged looked up no record.
    (
        20_000_210,
        "a_replica_that_lagged_refused_a_binding_without_addresses",
    ),
    // Two schedulers bound a replica at once: the record that the losing one took over from the
    // replica's last pod, on a silent node, was surplus and was released at once.
    (
        20_006_074,
        "a_predecessor_s_address_was_released_with_a_failed_binding",
    ),
];

/// Seeds of scenarios with virtual machines, each with the failure that it found.
pub(super) const MACHINE_SEEDS: &[(u64, &str)] = &[
    // A pod that posed as a machine's was created while two replicas lagged; the record did not
    // name the pod that has the address, so the launcher was admitted as well.
    (47, "a_record_did_not_say_which_pod_of_a_machine_has_it"),
    // The machine's records were hidden by a pending write for another holder in a second replica,
    // which then gave the machine another MAC.
    (125, "a_pending_write_hid_another_holder_s_record"),
    // Two pods of a machine were created at the same time.
    (21, "neither_of_two_coming_pods_was_seen"),
    // Two pods of a machine were bound at the same time.
    (
        52,
        "a_second_pod_was_bound_although_the_first_had_all_records",
    ),
    // The leader had not seen yet the pod that a record named, and named its predecessor, which had
    // ended: the pod that posed as the machine's was admitted as well.
    (501_531, "a_record_named_a_pod_that_had_ended_again"),
    // A replica that lagged looked up the address that a Binding set, but not its MAC.
    (30, "a_recent_mac_was_not_read_live"),
];
