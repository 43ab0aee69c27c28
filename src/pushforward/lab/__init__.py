"""The lab: train models, measure them, draw and report what they do. Imports parts and models, never the faces of app/."""
