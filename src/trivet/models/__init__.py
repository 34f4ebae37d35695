"""What is trained: backbones, heads and the encoders made of them."""
