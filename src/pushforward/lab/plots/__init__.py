"""Every public result has a picture: functions that return a `matplotlib.figure.Figure`."""

from .bands import bands
from .cost_curves import cost_curves
from .curves import curves
from .density import density
from .edits_grid import edits_grid
from .fields import fields
from .film_strip import film_strip
from .forecast import forecast
from .image_grid import image_grid
from .mosaic import mosaic
from .neighbours import neighbours
from .noise_bars import noise_bars
from .pairs import pairs
from .reconstructions import reconstructions, traversals
from .samples import samples
from .spectrogram import spectrogram
from .style import at_night, bare, canvas, colour_bar, dress, legend
from .trace import trace
from .trajectories import trajectories
from .waveform import waveform
