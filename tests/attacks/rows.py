"""
The kinds of bad input that are tried, and the tests that show what each gets.

A row may be shown in several places: over raw sockets here where it is a matter of HTTP, and with
the part that decides where it is a matter of money. Not here: spending caps, repeated
requests by `Idempotency-Key`, and what Stripe may send wrongly (`tests/billing`).
"""

HERE = "tests/attacks/"
ROWS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("a length and chunks", ("test_framing_rows.py::test_a_body_whose_end_is_ambiguous_is_refused_and_closed",)),
    2: ("two lengths", ("test_framing_rows.py::test_a_body_whose_end_is_ambiguous_is_refused_and_closed",)),
    3: ("lengths that are no plain number", ("test_framing_rows.py::test_a_body_whose_end_is_ambiguous_is_refused_and_closed",)),
    4: ("other transfer codings", ("test_framing_rows.py::test_a_body_whose_end_is_ambiguous_is_refused_and_closed",)),
    5: ("bare line ends, continued lines, NUL", ("test_framing_rows.py::test_lines_that_parsers_disagree_on_are_refused",)),
    6: ("malformed chunks", ("test_framing_rows.py::test_a_malformed_chunk_is_refused_closed_and_free", "test_framing_rows.py::test_a_body_that_is_malformed_later_is_void_and_broken_off_for_the_backend")),
    7: ("trailers", ("test_framing_rows.py::test_a_trailer_is_dropped_and_not_merged",)),
    8: ("two hosts, none, malformed ones", ("test_framing_rows.py::test_a_host_that_is_none_or_two_is_refused",)),
    9: ("absolute form", ("test_framing_rows.py::test_a_target_in_absolute_form_is_refused",)),
    10: ("CONNECT, TRACE, unknown methods", ("test_framing_rows.py::test_a_method_that_is_never_passed_on",)),
    11: ("paths like another host", ("test_path_rows.py::test_an_ambiguous_path_is_refused", "test_path_rows.py::test_a_path_is_never_another_host")),
    12: ("dot segments", ("test_path_rows.py::test_an_ambiguous_path_is_refused",)),
    13: ("escaped dot segments", ("test_path_rows.py::test_an_ambiguous_path_is_refused",)),
    14: ("overlong and invalid UTF-8, NUL, broken escapes", ("test_path_rows.py::test_an_ambiguous_path_is_refused",)),
    15: ("empty segments", ("test_path_rows.py::test_an_ambiguous_path_is_refused",)),
    16: ("a slash at the end", ("test_path_rows.py::test_a_path_that_only_resembles_a_route_is_404_and_the_connection_goes_on", "test_path_rows.py::test_a_pattern_is_no_way_to_a_dearer_route", "tests/config/test_routing.py::test_a_pattern_does_not_take_what_lenient_backends_serve_as_another_route")),
    17: ("another case", ("test_path_rows.py::test_a_path_that_only_resembles_a_route_is_404_and_the_connection_goes_on", "test_path_rows.py::test_a_pattern_is_no_way_to_a_dearer_route", "tests/config/test_routing.py::test_a_pattern_does_not_take_what_lenient_backends_serve_as_another_route")),
    18: ("method overrides", ("test_header_rows.py::test_a_header_that_would_change_what_was_priced_is_removed", "test_header_rows.py::test_a_method_in_the_query_is_refused")),
    19: ("rewriting headers", ("test_header_rows.py::test_a_header_that_would_change_what_was_priced_is_removed",)),
    20: ("HEAD", ("test_path_rows.py::test_head_costs_what_get_costs", "tests/config/test_routing.py::test_get_implies_head_unless_head_has_its_own_price")),
    21: ("a priced query with two readings", ("test_price_rows.py::test_a_priced_query_with_two_readings_is_refused", "test_price_rows.py::test_a_priced_header_with_two_readings_is_refused")),
    22: ("a content type that lies", ("test_price_rows.py::test_a_priced_body_of_another_type_is_415",)),
    23: ("a pattern beside a literal", ("test_path_rows.py::test_a_path_is_priced_and_forwarded_in_one_spelling", "tests/config/test_load.py::test_two_routes_for_one_path_and_method_are_refused")),
    24: ("our own headers from a client", ("test_header_rows.py::test_a_header_that_would_change_what_was_priced_is_removed", "test_header_rows.py::test_connection_cannot_take_away_what_we_say")),
    25: ("answers with two lengths or in our name", ("test_answer_rows.py::test_an_answer_with_two_readings_is_502_and_free", "test_answer_rows.py::test_what_a_backend_says_in_our_name_is_dropped", "test_answer_rows.py::test_bytes_behind_an_answer_are_nobodys_answer")),
    26: ("forged forwarding headers", ("test_header_rows.py::test_a_hundred_forwarded_addresses_are_replaced_by_the_peers", "test_header_rows.py::test_a_trusted_proxys_forwarded_addresses_are_continued")),
    27: ("a redirect inside", ("test_answer_rows.py::test_a_redirect_is_passed_back_and_never_followed",)),
    28: ("upgrades", ("test_header_rows.py::test_a_websocket_where_there_is_none_is_refused", "test_header_rows.py::test_h2c_is_answered_as_1_1_and_charged_once", "test_answer_rows.py::test_an_answer_with_two_readings_is_502_and_free")),
    29: ("a WebSocket for hours", ("tests/gateway/websocket/test_charging.py::test_a_long_connection_is_a_chain_of_charges", "tests/gateway/websocket/test_charging.py::test_the_next_slice_is_held_before_the_last_is_captured", "tests/gateway/websocket/test_charging.py::test_when_the_credits_are_used_up_it_is_closed_with_1008", "tests/gateway/websocket/test_charging.py::test_of_many_frames_each_is_paid_once", "tests/gateway/websocket/test_charging.py::test_a_message_nobody_can_pay_never_reaches_the_backend")),
    30: ("slow heads and bodies", ("test_limit_rows.py::test_a_body_that_stops_after_its_answer_gets_no_second_one", "test_limit_rows.py::test_a_head_that_never_ends_is_408_and_holds_nothing", "test_limit_rows.py::test_a_body_that_stops_is_408_and_void", "test_limit_rows.py::test_slow_clients_stop_nobody_and_are_cut_off", "test_limit_rows.py::test_slow_uploads_leave_connections_to_the_backend_for_others")),
    31: ("many connections of one address", ("test_limit_rows.py::test_one_address_has_a_cap_of_connections_and_gets_its_place_back", "test_limit_rows.py::test_all_together_have_a_cap", "test_limit_rows.py::test_a_trusted_proxy_has_no_cap_for_many_stand_behind_it", "tests/gateway/websocket/test_caps.py::test_an_open_connection_counts_until_it_ends")),
    32: ("heads too large", ("test_limit_rows.py::test_a_head_that_is_too_large_is_refused_before_any_charge",)),
    33: ("bodies too large", ("test_limit_rows.py::test_a_body_too_large_by_its_own_word_is_413_before_any_hold", "test_limit_rows.py::test_a_body_that_grows_too_large_is_413_and_its_hold_is_void", "test_limit_rows.py::test_a_client_that_sends_a_far_too_large_body_first_can_still_read_the_413")),
    34: ("bombs", ("test_answer_rows.py::test_a_compressed_answer_that_cannot_be_read_costs_what_missing_says", "test_answer_rows.py::test_a_bomb_that_is_not_priced_just_passes", "test_answer_rows.py::test_a_compressed_request_is_passed_on_as_it_is", "tests/config/test_unzip.py::test_a_bomb_is_left_before_it_grows")),
    35: ("clients that hang up", ("tests/flows/test_requests.py::test_clients_that_vanish_pay_for_what_the_backend_got", "tests/flows/test_requests.py::test_clients_that_vanish_amid_their_upload_pay_once_the_backend_has_the_head", "tests/gateway/test_proxy.py::test_a_client_that_leaves_early_pays_a_price_known_before", "tests/gateway/test_proxy.py::test_a_stream_is_read_to_its_usage_for_a_client_that_left")),
    36: ("backends that fail", ("test_answer_rows.py::test_a_backend_that_fails_costs_nothing", "test_answer_rows.py::test_half_an_answer_is_broken_off_for_the_client_and_free", "tests/gateway/test_proxy.py::test_an_upstream_that_fails_costs_nothing_and_the_charge_says_why")),
    37: ("a grant beyond what a balance can be", ("tests/ledger/test_control_rows.py::test_a_pool_cannot_grow_beyond_what_the_ledger_keeps", "tests/gateway/test_admin_money.py::test_a_grant_past_the_limit_of_a_pool_is_refused")),
    38: ("a free route hammered", ("test_limit_rows.py::test_a_free_route_hammered_is_limited_by_the_key",)),
    39: ("500 calls at once with credit for few", ("tests/flows/test_requests.py::test_500_calls_on_a_balance_for_100_reach_the_backend_100_times",)),
    40: ("500 calls at once against a cap of one key", ("tests/flows/test_limits.py::test_of_many_calls_at_once_exactly_ten_fit_into_a_cap",)),
    41: ("one Idempotency-Key, in all ways", ("tests/flows/test_idempotency.py::test_of_many_repeats_at_once_one_is_served_and_charged", "tests/flows/test_idempotency.py::test_another_request_under_the_key_is_refused_and_says_which_charge_has_it", "tests/flows/test_idempotency.py::test_another_accounts_key_is_another_key", "tests/flows/test_idempotency.py::test_after_a_failure_the_same_key_runs_again", "tests/flows/test_idempotency.py::test_what_was_done_is_done_after_redis_lost_everything", "tests/flows/test_idempotency.py::test_what_is_no_key_is_refused_and_nothing_is_held")),
    42: ("bad keys", ("test_key_rows.py::test_all_bad_keys_get_the_same_answer_but_for_its_id", "test_key_rows.py::test_guesses_at_once_are_looked_up_only_so_often")),
    48: ("the admin's routes from outside", ("test_key_rows.py::test_the_admins_routes_are_not_on_this_listener", "test_path_rows.py::test_an_ambiguous_path_is_refused", "tests/gateway/test_admin.py::test_a_stranger_gets_nothing_done")),
    49: ("secrets on every error path", ("test_key_rows.py::test_no_secret_is_in_any_output_of_any_error",)),
    50: ("Redis forgets its scripts, or answers too late", ("test_store_rows.py::test_a_hold_whose_answer_is_spoilt_is_made_once", "test_store_rows.py::test_a_hold_whose_answer_never_comes_is_given_up_and_nothing_stays_held", "test_store_rows.py::test_a_hold_that_was_moved_elsewhere_is_refused_and_the_next_one_made", "test_store_rows.py::test_a_redis_that_forgot_its_scripts_serves_on", "tests/ledger/test_shard.py::test_a_lost_reply_is_asked_again_under_the_old_session", "tests/ledger/test_shard.py::test_a_lost_settlement_is_booked_once", "tests/ledger/test_shard.py::test_a_server_that_forgot_the_scripts_is_verified_anew")),
    51: ("a priced body with two readings", ("test_price_rows.py::test_a_priced_body_with_two_readings_is_422", "test_price_rows.py::test_a_priced_body_is_forwarded_byte_for_byte")),
    52: ("an escaped slash", ("test_path_rows.py::test_an_ambiguous_path_is_refused", "test_path_rows.py::test_a_path_is_priced_and_forwarded_in_one_spelling")),
    53: ("two keys, or one in the query", ("test_key_rows.py::test_two_keys_in_one_request_are_refused", "test_key_rows.py::test_a_key_in_the_query_is_not_read_and_not_passed_on")),
}  # fmt: skip

ELSEWHERE = {43, 44, 45, 46, 47}
"""What Stripe sends."""
