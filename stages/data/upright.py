"""A picture as one looks at it. A module of its own, which imports nothing that takes long."""

from PIL import Image, ImageOps


def upright(image: Image.Image) -> Image.Image:
    """A picture turned upright by its EXIF orientation, white where it is transparent."""
    image = ImageOps.exif_transpose(image)
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
