"""The student in Hugging Face's layout: a folder, or a repository of the Hub (pip install '.[hub]')."""

from pathlib import Path

from huggingface_hub import ModelCard, PyTorchModelHubMixin

from dehazelib import paths
from dehazelib.deploy import inference
from dehazelib.networks.student import Student


class Dehazer(Student, PyTorchModelHubMixin, library_name="dehazelib", pipeline_tag="image-to-image", license="mit",
              tags=["image-dehazing"], paper_url="https://arxiv.org/abs/2207.11250"):
    """A student with from_pretrained, save_pretrained and push_to_hub; dehazelib.dehaze takes it as `weights`.

    from_pretrained: the name of a repository, or a folder, with config.json and model.safetensors.
    """

    card: Path | None = None

    @classmethod
    def shipped(cls, weights: str | None = None) -> "Dehazer":
        """Returns the student with weights as `inference.load` takes them. What is saved has their model card."""
        model = cls()
        model.load_state_dict(inference.load(weights).state_dict())
        if weights in (None, *inference.shipped()):
            model.card = paths.WEIGHTS / "README.md"
        return model.eval()

    def generate_model_card(self, *given, **options) -> ModelCard:
        if self.card:
            return ModelCard.load(self.card)
        return super().generate_model_card(*given, **options)

    @classmethod
    def _load_as_pickle(cls, model, model_file, *_):
        raise ValueError(f"{model_file}: is a pickle, which may run anything when it is loaded: only model.safetensors "
                         "is read.")
