<?xml version="1.0" encoding="UTF-8"?>
<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="${mask_id}">
  <gml:name>${mask_type} pixels mask from data-strip ${mask_id}</gml:name>
  <eop:maskMembers/>
</eop:Mask>
