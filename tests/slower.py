"""Tests that `make slow` alone runs although `make test` ran them once, and which test of `make test` holds each law
meanwhile.

A line says: file, test, which members (`*` for any characters, as in names of files), and the test that stays. It
stands here, and not at the test, so that what `make test` leaves out is seen in one place; `test_slower.py` holds every
line to tests that exist. Tests that were never quick are marked where they stand.
"""

import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).resolve().parent

OTHERS = "the other members of the test"


class Line(NamedTuple):
    test: str
    members: tuple[str, ...]
    stays: str | tuple[str, str]  # OTHERS, or file and test


MOVED = {
    "applications/test_aggregate.py": (
        Line(
            "test_a_flow_is_fitted_to_codes_that_are_no_gaussian",
            ("*",),
            ("laws/test_flows.py", "test_it_integrates_to_one_and_draws_are_those_of_the_density"),
        ),
    ),
    "applications/test_export.py": (
        Line("*", ("convolutional",), OTHERS),
        Line(
            "test_codes_are_exported_by_capability",
            ("vq-vae",),
            ("explorer/test_graphs_in_browser.py", "test_operators_give_what_pytorch_gives"),
        ),
        Line("test_codes_are_exported_by_capability", ("hierarchy",), OTHERS),
    ),
    "applications/test_generation.py": (
        Line(
            "test_the_optimised_code_of_two_linear_levels_is_the_exact_posterior_mean",
            ("*",),
            ("applications/test_generation.py", "test_optimised_posteriors_reach_the_exact_one"),
        ),
    ),
    "applications/test_imputation.py": (
        Line(
            "test_intervals_cover_what_they_promise",
            ("*",),
            (
                "applications/test_imputation.py",
                "test_both_ends_of_an_interval_are_the_quantiles_of_the_conditional_law",
            ),
        ),
    ),
    "cli/drawing/test_exploring.py": (
        Line(
            "test_what_cannot_be_written_is_refused",
            ("words7*",),
            ("explorer/test_keeping.py", "test_a_size_that_holds_no_example_is_refused"),
        ),
    ),
    "cli/test_compressing_tables.py": (
        Line("test_files_in_other_forms_come_back_byte_for_byte", ("how[23]",), OTHERS),
    ),
    "cli/test_sweeping.py": (
        Line(
            "test_every_recipe_is_swept_or_refused_before_anything_is_trained",
            (
                "hierarchical-gpu",
                "residual",
            ),
            OTHERS,
        ),
        Line(
            "test_every_recipe_is_swept_or_refused_before_anything_is_trained",
            (
                "hierarchical-hour",
                "hierarchical-convolutional",
                "vq-vae-2",
                "convolutional",
            ),
            OTHERS,
        ),
    ),
    "cli/test_using_bad_rows.py": (
        Line(
            "test_a_cell_that_does_not_fit_is_named_or_its_row_listed",
            (
                "place[13]*parquet",
                "place2*csv",
            ),
            OTHERS,
        ),
        Line("test_empty_files_and_single_rows", ("write_parquet",), OTHERS),
        Line(
            "test_other_encodings_and_delimiters_give_the_same_answers",
            (
                "*cp1252",
                "*utf-8-sig",
            ),
            ("cli/test_using_streamed_rows.py", "test_blocks_are_the_table"),
        ),
    ),
    "cli/test_using_streamed_rows.py": (
        Line("test_commands_answer_the_same_in_blocks_and_at_once", ("parquet-csv",), OTHERS),
        Line("test_a_file_is_whole_or_not_there", ("score",), OTHERS),
    ),
    "compression/test_archive.py": (Line("test_arrays_come_back_with_type_and_shape", ("F-[!<]*",), OTHERS),),
    "compression/test_portable.py": (
        Line(
            "test_another_process_reads_it_from_the_stored_model",
            ("*",),
            ("cli/test_compressing_portably.py", "test_it_comes_back_byte_for_byte_with_other_threads"),
        ),
    ),
    "compression/test_tiles_of_pictures.py": (
        Line(
            "test_pictures_of_any_sizes_come_back",
            ("pixels in turn",),
            (
                "compression/test_tiles_of_pictures.py",
                "test_what_is_visible_is_coded_in_as_many_bits_as_it_is_improbable",
            ),
        ),
    ),
    "data/files/test_files_from_strangers.py": (
        Line("test_a_table_does_not_unpack_without_end", ("text0-compress1",), OTHERS),
    ),
    "data/test_keys.py": (Line("test_scores_and_codes_name_the_rows_that_they_are_of", ("parquet",), OTHERS),),
    "data/test_reading_files.py": (
        Line("test_real_cifar", ("*",), ("data/test_reading_files.py", "test_cifar_in_its_official_layout")),
    ),
    "estimators/test_estimators_in_scikit_learn.py": (
        Line("test_gaps_of_a_mixed_frame_are_filled_in_kind", ("pandas",), OTHERS),
        Line("test_awkward_tables", ("VAEOutlierDetector",), OTHERS),
        Line("test_what_scikit_learn_expects", ("VAETransformer*",), OTHERS),
    ),
    "evaluation/tabular/test_synthetic_quality.py": (
        Line("test_the_same_law_teaches_as_much_and_a_broken_one_nothing", ("sdgym_learners",), OTHERS),
        Line("test_a_column_of_gaps_is_judged_like_any_other", ("synthetic-0",), OTHERS),
        Line(
            "test_classes_and_numbers_are_predicted_too",
            ("*",),
            (
                "evaluation/tabular/test_synthetic_quality.py",
                "test_the_same_law_teaches_as_much_and_a_broken_one_nothing",
            ),
        ),
    ),
    "evaluation/test_evaluate.py": (Line("test_no_number_depends_on_batch_or_memory", ("sizes3",), OTHERS),),
    "evaluation/test_evaluate_in_blocks.py": (
        Line(
            "test_five_thousand_draws_in_evaluation",
            ("*",),
            ("evaluation/test_evaluate.py", "test_no_number_depends_on_batch_or_memory"),
        ),
    ),
    "explorer/test_explorer_in_lectures.py": (
        Line("test_every_slider_moves_numbers_to_what_vael_gives", ("[!b]*",), OTHERS),
        Line("test_steps_of_em_are_those_of_the_library", ("two-axes",), OTHERS),
        Line(
            "test_attributes_move_a_picture_as_in_python",
            ("*",),
            ("explorer/test_explorer_in_lectures.py", "test_a_dragged_point_is_decoded_as_in_python"),
        ),
        Line("test_nothing_is_wider_than_a_telephone", ("light",), OTHERS),
    ),
    "explorer/test_graphs_in_browser.py": (
        Line(
            "test_models_decode_and_encode_as_in_python",
            (
                "hierarchical-convolutional",
                "vq-vae",
            ),
            ("explorer/test_graphs_in_browser.py", "test_operators_give_what_pytorch_gives"),
        ),
    ),
    "explorer/test_keeping.py": (
        Line(
            "test_what_an_autoencoder_cannot_do_is_absent",
            ("*",),
            ("explorer/test_scene.py", "test_other_models_are_explored_by_what_they_can"),
        ),
    ),
    "explorer/test_keeping_in_browser.py": (
        Line(
            "test_pixels_are_those_of_python",
            ("levels",),
            ("explorer/test_scene.py", "test_other_models_are_explored_by_what_they_can"),
        ),
        Line(
            "test_nothing_runs_over_on_a_narrow_screen",
            (
                "pictures",
                "levels",
            ),
            OTHERS,
        ),
        Line(
            "test_a_level_is_drawn_anew_and_the_others_stay",
            ("*",),
            ("explorer/test_scene.py", "test_other_models_are_explored_by_what_they_can"),
        ),
        Line(
            "test_the_posterior_of_a_drawn_picture_is_that_of_python",
            ("*",),
            ("explorer/test_keeping_in_browser.py", "test_a_picture_drawn_by_hand_is_encoded_as_in_python"),
        ),
        Line(
            "test_a_link_to_the_file_opens_the_same_view",
            ("*",),
            ("explorer/test_page_in_browser.py", "test_a_link_opens_the_same_view"),
        ),
        Line(
            "test_what_cannot_be_read_is_said",
            ("*",),
            ("explorer/test_keeping_in_browser.py", "test_what_if_agrees_with_python"),
        ),
        Line(
            "test_the_command_writes_the_file_and_says_what_is_in_it",
            ("*",),
            ("laws/test_json_of_commands.py", "test_a_command_prints_one_object_and_nothing_else"),
        ),
    ),
    "explorer/test_page_in_browser.py": (
        Line(
            "test_a_click_goes_to_the_example_and_shift_pairs_it",
            ("*",),
            ("explorer/test_page_in_browser.py", "test_menus_lasso_and_buttons"),
        ),
        Line(
            "test_what_if_shows_what_follows",
            ("*",),
            ("explorer/test_keeping_in_browser.py", "test_what_if_agrees_with_python"),
        ),
        Line("test_nothing_runs_over_on_a_narrow_screen", ("pictures",), OTHERS),
        Line(
            "test_the_keyboard_alone_moves_the_ring",
            ("*",),
            ("explorer/test_keeping_in_browser.py", "test_controls_work_without_a_server"),
        ),
    ),
    "explorer/test_scene.py": (Line("test_sequences_are_explored_or_refused_with_a_reason", ("kalman",), OTHERS),),
    "inference/test_grid.py": (Line("test_a_trained_model_against_importance_weights", ("3-1",), OTHERS),),
    "inference/test_laplace.py": (
        Line(
            "test_the_bound_at_it_is_tighter",
            ("*",),
            ("inference/test_laplace.py", "test_it_lacks_less_of_the_evidence_than_the_encoder"),
        ),
    ),
    "inference/test_memory.py": (Line("test_a_fit_differentiates_no_more_latents_than_memory_holds", ("2",), OTHERS),),
    "inference/test_optimizers.py": (
        Line(
            "test_no_compiler_is_imported_to_train_a_model_or_to_use_it",
            ("*",),
            ("inference/test_optimizers.py", "test_no_step_asks_for_the_compiler"),
        ),
    ),
    "laws/test_bad_sequences.py": (Line("test_what_is_no_fault_is_taken", ("days that are left out",), OTHERS),),
    "laws/test_climbing.py": (
        Line(
            "test_its_gradient_is_that_of_what_it_climbs",
            ("multi-sample score function",),
            (
                "objectives/test_score_function.py",
                "test_where_a_path_exists_both_gradients_have_the_same_mean_and_the_path_less_variance",
            ),
        ),
    ),
    "laws/test_combinations.py": (
        Line(
            "test_a_killed_run_goes_on_to_equal_weights",
            (
                "residual",
                "autoregressive",
                "temporal",
                "td-vae",
            ),
            OTHERS,
        ),
        Line("test_a_killed_run_goes_on_to_equal_weights", ("state-space",), OTHERS),
    ),
    "laws/test_conditions_of_runs.py": (
        Line(
            "test_conditions_that_were_learned_matter",
            ("*",),
            ("applications/test_export.py", "test_a_conditional_model_takes_its_condition_beside"),
        ),
    ),
    "laws/test_domains.py": (Line("test_it_is_coded_without_loss_where_that_is_offered", ("colour images",), OTHERS),),
    "laws/test_forms_of_dates.py": (
        Line(
            "test_the_day_after_the_last_of_a_month_is_no_date",
            (
                "2023-11-30*",
                "2024-02-29*",
            ),
            OTHERS,
        ),
    ),
    "laws/test_independent_rows.py": (
        Line(
            "test_draws_of_different_rows_are_independent",
            ("impute in pieces",),
            ("laws/test_independent_rows.py", "test_every_use_of_shared_noise_is_listed_and_says_why"),
        ),
    ),
    "laws/test_other_devices.py": (Line("test_a_likelihood", ("autoregressive-mixture",), OTHERS),),
    "laws/test_posteriors.py": (Line("test_a_captured_step_is_the_eager_one", ("refined",), OTHERS),),
    "laws/test_recipes_are_runs.py": (
        Line(
            "test_it_trains_and_is_loaded_as_it_was",
            (
                "vq-vae-2",
                "hierarchical-*",
            ),
            OTHERS,
        ),
        Line(
            "test_it_trains_and_is_loaded_as_it_was",
            (
                "autoregressive",
                "residual",
            ),
            ("laws/test_combinations.py", "test_each_part_has_a_whole_life"),
        ),
        Line(
            "test_a_command_does_its_work_or_refuses_in_one_message",
            ("vq-vae",),
            ("laws/test_capabilities.py", "test_whatever_decodes_scores_rows_by_what_it_has"),
        ),
        Line("test_a_command_does_its_work_or_refuses_in_one_message", ("full-covariance",), OTHERS),
        Line(
            "test_a_command_does_its_work_or_refuses_in_one_message",
            ("hierarchical",),
            ("laws/test_capabilities.py", "test_whatever_decodes_scores_rows_by_what_it_has"),
        ),
    ),
    "laws/test_refused_before_a_folder.py": (
        Line(
            "test_it_trains_or_leaves_nothing",
            (
                "bernoulli-latents-text",
                "hierarchical-text",
                "convolutional-text",
                "principal-text",
                "hierarchical-convolutional-pictures",
                "stacked-pictures",
                "residual-odd",
            ),
            OTHERS,
        ),
    ),
    "models/autoencoders/test_quantized.py": (
        Line("test_codes_do_not_depend_on_the_companions", ("rotated",), OTHERS),
        Line("test_the_decoder_gets_the_same_from_codes_as_from_the_encoder", ("rotated",), OTHERS),
        Line("test_the_bound_is_below_the_sum_over_all_codes_for_every_example", ("rotated",), OTHERS),
        Line(
            "test_a_run_stopped_by_a_signal_and_resumed_ends_in_an_equal_model_and_code_book",
            (
                "rotated",
                "one",
            ),
            OTHERS,
        ),
    ),
    "models/likelihoods/test_columns.py": (
        Line("test_densities_integrate_to_one_with_their_spikes", ("[23]",), OTHERS),
        Line("test_a_model_learns_a_joint_law_and_never_passes_it", ("False",), OTHERS),
    ),
    "models/posteriors/test_correlated.py": (
        Line(
            "test_training_finds_it",
            ("*",),
            ("models/posteriors/test_correlated.py", "test_it_closes_the_gap_that_a_diagonal_posterior_cannot"),
        ),
    ),
    "models/test_semi_supervised.py": (Line("test_with_any_other_posterior_it_is_below", ("0.5",), OTHERS),),
    "objectives/test_importance_weighted_gradients.py": (
        Line(
            "test_more_samples_hurt_the_encoder_of_one_estimator_and_help_that_of_the_other",
            ("*",),
            (
                "objectives/test_importance_weighted_gradients.py",
                "test_at_the_exact_posterior_the_gradient_without_the_score_is_zero_for_every_draw",
            ),
        ),
    ),
    "objectives/test_score_function.py": (
        Line(
            "test_a_model_of_binary_latents_learns_through_the_usual_loop",
            ("*",),
            ("models/posteriors/test_bernoulli.py", "test_the_score_function_has_the_gradient_of_the_enumerated_bound"),
        ),
    ),
    "report/tabular/test_synthetic_verdict_rates.py": (
        Line("test_what_several_columns_give_away_together_is_seen", ("[tlwc]*",), OTHERS),
    ),
    "report/test_style_of_texts.py": (Line("test_other_files_of_a_figure_take_all_of_these_texts", ("pdf",), OTHERS),),
    "specs/test_archives_from_strangers.py": (Line("test_a_hostile_table_is_refused_or_read", ("x.parquet",), OTHERS),),
    "specs/test_composing.py": (
        Line(
            "test_what_every_model_has_leaves_the_hierarchy",
            (
                "warmup",
                "lr",
                "average",
                "epochs",
                "optimizer",
            ),
            OTHERS,
        ),
        Line(
            "test_what_a_hierarchy_has_not_is_asked_of_one_vector_of_latents",
            (
                "latent",
                "hidden",
                "likelihood",
                "estimator",
            ),
            OTHERS,
        ),
    ),
    "specs/test_configuring.py": (Line("test_a_run_is_repeated_by_one_command", ("another name",), OTHERS),),
    "specs/test_runs_on_sequences.py": (
        Line(
            "test_other_networks_take_windows_with_gaps_too",
            ("temporal",),
            ("laws/test_combinations.py", "test_each_part_has_a_whole_life"),
        ),
        Line("test_arrays_of_whole_numbers_have_bits", ("bits-bernoulli",), OTHERS),
    ),
    "specs/test_starting.py": (
        Line("test_a_run_on_other_data_climbs_on_them_and_is_loaded_again", ("digits",), OTHERS),
        Line("test_a_run_does_not_end_below_the_weights_that_it_began_with", ("conditional*",), OTHERS),
    ),
    "test_docs.py": (
        Line(
            "test_what_a_page_says_runs",
            ("fill-gaps",),
            ("applications/test_imputation.py", "test_the_command_fills_gaps_and_leaves_every_other_cell_as_it_came"),
        ),
    ),
    "training/test_loop_on_linear_models.py": (
        Line("test_a_trained_linear_vae_reaches_ppca_from_below", ("sampled",), OTHERS),
    ),
}


def is_moved(file, test, member):
    """Whether `make slow` alone runs this member of a test (an empty text where it has no members)."""
    return any(
        fnmatch.fnmatchcase(test, line.test) and any(fnmatch.fnmatchcase(member, one) for one in line.members)
        for line in MOVED.get(file, ())
    )


def place_of(item):
    """File under this folder, test, member."""
    name = item.name.removeprefix(item.originalname)
    return item.path.relative_to(HERE).as_posix(), item.originalname, name[1:-1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Before `-m` asks for the mark."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.is_relative_to(HERE) and is_moved(*place_of(item)):
            item.add_marker(pytest.mark.slow)
