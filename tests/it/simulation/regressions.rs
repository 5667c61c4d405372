//! Seeds whose histories once broke, each by a mistake of nadmit's that is mended.

/// The seed, and what it found.
pub(super) const SEEDS: &[(u64, &str)] = &[
    // A reservation's record came back with an old copy of the ledger, when the reservation was gone
    // and a pod had the address: it was freed, and given to another pod.
    (2156, "a_restored_record_was_freed_under_its_user"),
    // The same with the record of a pod, whose next one was given the address again.
    (5758, "a_restored_record_was_taken_up_beside_its_user"),
    (10263, "a_restored_record_was_taken_up_on_another_node"),
    // A pod that names an address was bound while no replica was there to say that it is in use.
    (3306, "a_named_address_was_used_without_a_record"),
    // A pod that waits for ever kept what the pod before it of its name had had.
    (5969, "a_pod_that_waits_kept_what_one_before_it_had"),
    // A pod was to be created whose name was taken: what it would have had was kept with the pod of
    // that name, which does not have the interface.
    (637, "a_pod_that_never_came_left_an_address_to_its_namesake"),
    // The same was freed while its plan was still being recorded.
    (1839, "an_address_was_freed_in_the_middle_of_its_plan"),
    // A pod that was bound and refused what it asked for did the same as one that waits.
    (18972, "a_pod_that_was_refused_kept_what_one_before_it_had"),
    // A pod was created with its node, and deleted by force before anybody wrote down which one it
    // was; on its node, which did not answer, it ran on.
    (
        12652,
        "what_ran_on_a_silent_node_was_freed_as_if_it_never_came",
    ),
    // A pod with two attachments was refused one address for both.
    (22544, "a_reservation_for_any_interface_was_for_all_of_them"),
    // Two plans of several records undid each other over and over again.
    (31687, "two_plans_took_turns_in_undoing_each_other"),
    // As that of 637, of a pod that waits for ever.
    (
        35876,
        "a_pod_that_never_came_left_an_address_to_one_that_waits",
    ),
    // A pod was deleted by force on a silent node, and made anew elsewhere; that one's node was asked
    // whether the address is free, and not the first.
    (
        301_132,
        "what_ran_on_a_silent_node_was_freed_with_its_successor",
    ),
    (
        300_917,
        "what_a_replica_had_on_a_silent_node_was_freed_with_its_successor",
    ),
    // A record that had something in flight for another was not found as its holder's.
    (
        307_504,
        "a_replica_s_address_was_hidden_by_what_was_in_flight",
    ),
    // A replica that had just started, whose pools were not ready yet, refused the Binding of a pod
    // that had its address from another replica.
    (144, "a_replica_that_had_just_started_refused_a_binding"),
];

/// The same of histories with virtual machines.
pub(super) const SEEDS_OF_MACHINES: &[(u64, &str)] = &[
    // A pod that posed as a machine's was created while two replicas lagged; the record did not say
    // which pod has it, so the launcher was let in beside it.
    (47, "a_record_did_not_say_which_pod_of_a_machine_has_it"),
    // What a machine had was in flight for another in a second replica, which gave it another MAC.
    (125, "what_was_in_flight_hid_the_record_of_another"),
    // Two pods of a machine were created at once.
    (21, "of_two_pods_that_were_about_to_come_neither_was_seen"),
    // Two pods of a machine were bound at once.
    (52, "a_pod_was_bound_beside_one_for_which_all_was_recorded"),
    // The leader had not seen yet the pod that a record named, and named the one before it, which had
    // ended: who posed as the machine's was let in beside.
    (501_531, "a_record_named_a_pod_that_had_ended_again"),
    // A replica that lagged looked up the address that a Binding brought, and not its MAC.
    (30, "a_mac_of_a_moment_ago_was_not_looked_up"),
];
