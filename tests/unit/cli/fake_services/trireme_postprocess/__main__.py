import fake_stage

fake_stage.main("postprocess")
